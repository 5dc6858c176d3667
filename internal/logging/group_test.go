package logging

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGroup runs testdata/*.group: what a worker writes, a line "--" between two writes, "==" and
// then the messages as they shall come, each beginning with <priority>.
func TestGroup(t *testing.T) {
	files, err := filepath.Glob("testdata/*.group")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		in, want, ok := strings.Cut(string(b), "==\n")
		if !ok {
			t.Fatalf("%s: no ==", file)
		}
		var got strings.Builder
		g := &grouper{emit: func(text string, pri int) { fmt.Fprintf(&got, "<%d>%s\n", pri, text) }}
		for chunk := range strings.SplitSeq("\n"+in, "\n--\n") {
			for i, l := range strings.Split(strings.TrimSuffix(strings.TrimPrefix(chunk, "\n"), "\n"), "\n") {
				g.line([]byte(l), i == 0)
			}
			g.chunk()
		}
		g.flush()
		if got.String() != want {
			t.Errorf("%s:\n%s\nwant:\n%s", file, got.String(), want)
		}
	}
}

func FuzzGroup(f *testing.F) {
	f.Add([]byte("a\n  b\nTraceback (most recent call last):\n  File\nE: x\n\nDuring handling of the above "+
		"exception, another exception occurred:\n"), byte(3))
	f.Fuzz(func(t *testing.T, in []byte, every byte) {
		var got []string
		g := &grouper{emit: func(text string, pri int) {
			if pri < 0 || pri > 7 {
				t.Fatalf("priority %d", pri)
			}
			got = append(got, text)
		}}
		var words int
		for i, l := range strings.Split(string(in), "\n") {
			fresh := every > 0 && i%int(every) == 0
			if fresh {
				g.chunk()
			}
			g.line([]byte(l), fresh)
			words += len(strings.Fields(l))
		}
		g.flush()
		left := 0
		for _, m := range got {
			left += len(strings.Fields(m))
		}
		// Nothing is lost but the <N> prefixes.
		if left > words || words-left > strings.Count(string(in), "<") {
			t.Fatalf("%d words in, %d out: %q", words, left, got)
		}
	})
}
