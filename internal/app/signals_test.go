package app

import (
	"testing"
	"time"

	"uwsgi/internal/option"
)

func TestStopWithin(t *testing.T) {
	for _, c := range []struct {
		name     string
		set      func(*option.Settings)
		pid      int
		terminal bool
		want     time.Duration
	}{
		{"host", func(*option.Settings) {}, 100, false, 0},
		{"container", func(*option.Settings) {}, 1, false, 10 * time.Second},
		{"container at a terminal", func(*option.Settings) {}, 1, true, 0},
		{"container with a mercy", func(s *option.Settings) { s.ReloadMercy = 25 * time.Second }, 1, false, 0},
		{"container with a mercy of the workers'", func(s *option.Settings) { s.WorkerReloadMercy = 25 * time.Second }, 1, false, 0},
		{"asked for", func(s *option.Settings) { s.GracefulTimeout, s.ReloadMercy = 8*time.Second, time.Minute }, 1, false, 8 * time.Second},
	} {
		s := option.Default()
		c.set(s)
		if got := stopWithin(s, c.pid, c.terminal); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
