package chaos

import (
	"testing"
	"time"

	"uwsgi/internal/e2e/harness"
)

// Workers are replaced all the time under full load, over kept connections, new ones and through
// nginx: not one failed request.
func TestRecycling(t *testing.T) {
	for name, c := range map[string]struct {
		path string
		args []string
		want int // replacements
	}{
		"max-requests=10":       {"/", []string{"--max-requests", "10"}, scale(20, 300)},
		"max-worker-lifetime=1": {"/", []string{"--max-worker-lifetime", "1"}, scale(2, 30)},
		"reload-on-rss":         {"/grow", []string{"--reload-on-rss", "48"}, scale(2, 40)},
	} {
		for _, processes := range []string{"1", "4"} {
			t.Run(name+", processes="+processes, func(t *testing.T) {
				r := start(t, append([]string{"-p", processes, "--threads", "2", "--min-worker-lifetime", "0"},
					c.args...)...)
				n := harness.StartNginx(t, "location / { include /etc/nginx/uwsgi_params; uwsgi_pass unix:"+r.sock+
					"; }")
				crowds := []*crowd{traffic(r.addr, c.path, "hello\n", 4, true),
					traffic(r.addr, c.path, "hello\n", 2, false), traffic(n.Addr, c.path, "hello\n", 2, true)}
				begun := time.Now()
				for n := 1; n <= c.want; n++ {
					harness.Eventually(t, "a replacement", func() bool {
						return countFrom(r, 0, "Respawned uWSGI worker") >= n || lost(crowds) > 0
					})
				}
				took := time.Since(begun)
				good := 0
				for _, load := range crowds {
					load.end(t)
					good += load.good
				}
				t.Logf("%d workers replaced in %v, %d requests", countFrom(r, 0, "Respawned uWSGI worker"),
					took.Round(time.Millisecond), good)
			})
		}
	}
}

func lost(crowds []*crowd) (n int) {
	for _, c := range crowds {
		c.mu.Lock()
		n += len(c.failed)
		c.mu.Unlock()
	}
	return n
}
