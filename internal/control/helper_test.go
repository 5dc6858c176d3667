package control

import (
	"os"
	"strings"
	"sync"
	"testing"
)

// lines collects a log and lets a test wait for a line.
type lines struct {
	mu   sync.Mutex
	cond *sync.Cond
	all  []string
}

func newLines() *lines {
	l := &lines{}
	l.cond = sync.NewCond(&l.mu)
	return l
}

func (l *lines) add(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, s)
	l.cond.Broadcast()
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

// wait returns the first line that begins with prefix, once there is one.
func (l *lines) wait(prefix string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		for _, s := range l.all {
			if strings.HasPrefix(s, prefix) {
				return s
			}
		}
		l.cond.Wait()
	}
}

func (l *lines) count(prefix string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, s := range l.all {
		if strings.HasPrefix(s, prefix) {
			n++
		}
	}
	return n
}

func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "uwsgi-ctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
