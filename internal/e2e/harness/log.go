package harness

import (
	"bufio"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// Log is what a program has written, line by line.
type Log struct {
	mu      sync.Mutex
	lines   []string
	changed chan struct{} // closed and replaced with every line
	ended   chan struct{} // closed when nobody is left who could write
}

func newLog() *Log {
	return &Log{changed: make(chan struct{}), ended: make(chan struct{})}
}

// follow takes lines from r until its end, which comes when the last process that has it open has
// ended.
func (l *Log) follow(r io.ReadCloser) {
	defer close(l.ended)
	defer r.Close()
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			l.add(strings.TrimSuffix(line, "\n"))
		}
		if err != nil {
			return
		}
	}
}

func (l *Log) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	close(l.changed)
	l.changed = make(chan struct{})
}

// Mark is the place where the log ends now.
func (l *Log) Mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.lines)
}

// Lines are the lines from a mark on.
func (l *Log) Lines(mark int) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines[min(mark, len(l.lines)):]...)
}

func (l *Log) String() string { return strings.Join(l.Lines(0), "\n") }

// Count is how many lines match.
func (l *Log) Count(pattern string) int {
	re, n := regexp.MustCompile(pattern), 0
	for _, line := range l.Lines(0) {
		if re.MatchString(line) {
			n++
		}
	}
	return n
}

// Wait waits for a line, written or to come, that matches, and gives its submatches.
func (l *Log) Wait(t testing.TB, pattern string) []string {
	t.Helper()
	return l.WaitFrom(t, 0, pattern)
}

// WaitFrom is Wait for the lines behind a mark.
func (l *Log) WaitFrom(t testing.TB, mark int, pattern string) []string {
	t.Helper()
	re, late := regexp.MustCompile(pattern), time.After(Patience)
	for {
		l.mu.Lock()
		for ; mark < len(l.lines); mark++ {
			if m := re.FindStringSubmatch(l.lines[mark]); m != nil {
				l.mu.Unlock()
				return m
			}
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-l.ended:
			if mark < l.Mark() {
				continue
			}
			t.Fatalf("the log ended without a line that matches %q:\n%s", pattern, l.tail())
		case <-late:
			t.Fatalf("no line of the log matches %q within %v:\n%s", pattern, Patience, l.tail())
		}
	}
}

func (l *Log) tail() string {
	lines := l.Lines(0)
	if len(lines) > 80 {
		lines = append([]string{"..."}, lines[len(lines)-80:]...)
	}
	return strings.Join(lines, "\n")
}
