// Package testlog is a log for tests, which collects lines and lets a test wait for one.
package testlog

import (
	"os"
	"strings"
	"sync"
	"testing"
)

// Lines collects a log.
type Lines struct {
	mu   sync.Mutex
	cond *sync.Cond
	all  []string
}

// New is an empty log.
func New() *Lines {
	l := &Lines{}
	l.cond = sync.NewCond(&l.mu)
	return l
}

// Add adds a line.
func (l *Lines) Add(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, s)
	l.cond.Broadcast()
}

func (l *Lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

// Wait returns the first line that begins with prefix, once there is one.
func (l *Lines) Wait(prefix string) string {
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

// Count is how many lines begin with prefix.
func (l *Lines) Count(prefix string) int {
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

// ShortDir is a folder whose path leaves room for the name of a unix socket.
func ShortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "uwsgi-ctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
