package e2e

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// TestSharedAreaAnswers: every call answers as uWSGI's, which is asked the same. What uWSGI writes
// past the end of an area, or crashes on, is an error.
func TestSharedAreaAnswers(t *testing.T) {
	t.Parallel()
	error := func(function string) string { return "ValueError: error calling uwsgi_" + function + "()" }
	answersAlike(t, []string{"--sharedarea", "1", "--sharedarea", "pages=2", "--sharedarea",
		"size=5000", "--sharedarea", "0"},
		"uwsgi.sharedarea_write(0, 0, b'early')\nuwsgi.sharedarea_read(0, 0, 5)", []string{
			"uwsgi.sharedarea_read(0, 0, 10)", "uwsgi.sharedarea_write(0, 0, b'hello world')", "uwsgi.sharedarea_read(0, 6, 5)",
			"uwsgi.sharedarea_read(0, 4090)", "uwsgi.sharedarea_read(0, 4095)", "uwsgi.sharedarea_read(0, 4096)",
			"uwsgi.sharedarea_read(0, 4090, 7)", "uwsgi.sharedarea_read(0, 4090, 6)", "len(uwsgi.sharedarea_read(0, 1, 0))",
			"uwsgi.sharedarea_write(0, 4090, b'1234567')", "uwsgi.sharedarea_write(0, 4090, b'123456')",
			"uwsgi.sharedarea_write(0, 4096, b'1')", "uwsgi.sharedarea_write(0, 4096, b'')", "uwsgi.sharedarea_write(0, 0, b'')",
			"uwsgi.sharedarea_write(9, 0, b'1')", "uwsgi.sharedarea_read(9, 0, 1)", "uwsgi.sharedarea_read(0, -1, 1)",
			"uwsgi.sharedarea_write(0, 0, 'text')", "uwsgi.sharedarea_write(0, 0, None)", "uwsgi.sharedarea_write(0, 0, 5)",
			"uwsgi.sharedarea_write(0, 0, bytearray(b'x'))", "uwsgi.sharedarea_write(0)", "uwsgi.sharedarea_read(0)",
			"uwsgi.sharedarea_read('0', 0)", "uwsgi.sharedarea_read(0, 0, 1, 2)", "uwsgi.sharedarea_read(0, 2**64)",
			"uwsgi.sharedarea_write8(0, 0, 200)", "uwsgi.sharedarea_read8(0, 0)", "uwsgi.sharedarea_write8(0, 0, -1)",
			"uwsgi.sharedarea_write8(0, 0, 300)", "uwsgi.sharedarea_writebyte(0, 0, 65)", "uwsgi.sharedarea_readbyte(0, 0)",
			"uwsgi.sharedarea_write16(0, 1, 40000)", "uwsgi.sharedarea_read16(0, 1)", "uwsgi.sharedarea_write16(0, 1, -2)",
			"uwsgi.sharedarea_write32(0, 3, 4000000000)", "uwsgi.sharedarea_read32(0, 3)", "uwsgi.sharedarea_write32(0, 3, -5)",
			"uwsgi.sharedarea_read32(0, 3)", "uwsgi.sharedarea_write32(0, 3, 2**40)", "uwsgi.sharedarea_inc32(0, 3)",
			"uwsgi.sharedarea_inc32(0, 3, 10)", "uwsgi.sharedarea_dec32(0, 3)", "uwsgi.sharedarea_dec32(0, 3, 3)",
			"uwsgi.sharedarea_read32(0, 3)", "uwsgi.sharedarea_inc32(0, 0, 2**40)", "uwsgi.sharedarea_inc32(0, 0, 2**70)",
			"uwsgi.sharedarea_write64(0, 8, -5)", "uwsgi.sharedarea_read64(0, 8)", "uwsgi.sharedarea_inc64(0, 8)",
			"uwsgi.sharedarea_inc64(0, 8, 2**40)", "uwsgi.sharedarea_dec64(0, 8)", "uwsgi.sharedarea_dec64(0, 8, 7)",
			"uwsgi.sharedarea_read64(0, 8)", "uwsgi.sharedarea_writelong(0, 8, 77)", "uwsgi.sharedarea_readlong(0, 8)",
			"uwsgi.sharedarea_inclong(0, 8)", "uwsgi.sharedarea_readlong(0, 8)", "uwsgi.sharedarea_write64(0, 4088, 1)",
			"uwsgi.sharedarea_write64(0, 4089, 1)", "uwsgi.sharedarea_read64(0, 4089)", "uwsgi.sharedarea_read32(0, 4092)",
			"uwsgi.sharedarea_read32(0, 4093)", "uwsgi.sharedarea_read16(0, 4095)", "uwsgi.sharedarea_read8(0, 4095)",
			"uwsgi.sharedarea_read8(0, 4096)", "uwsgi.sharedarea_inc64(5, 0)",
			"uwsgi.sharedarea_inc64(0, 8, 'x')", "uwsgi.sharedarea_write64(0, 8, 2**64)", "uwsgi.sharedarea_write64(0, 8, 1.5)",
			"uwsgi.sharedarea_rlock(0)", "uwsgi.sharedarea_unlock(0)", "uwsgi.sharedarea_wlock(0)", "uwsgi.sharedarea_unlock(0)",
			"uwsgi.sharedarea_unlock(0)", "uwsgi.sharedarea_rlock(5)", "uwsgi.sharedarea_wlock(5)", "uwsgi.sharedarea_unlock(5)",
			"uwsgi.sharedarea_rlock('x')", "uwsgi.sharedarea_memoryview()", "uwsgi.sharedarea_memoryview(5)",
			"uwsgi.sharedarea_object(5)", "type(uwsgi.sharedarea_memoryview(0)).__name__", "len(uwsgi.sharedarea_memoryview(1))",
			"bytes(uwsgi.sharedarea_memoryview(0)[8:16])", "uwsgi.sharedarea_memoryview(0).readonly",
			"uwsgi.sharedarea_memoryview(0).format", "len(uwsgi.sharedarea_read(1, 0))", "len(uwsgi.sharedarea_read(2, 0))",
			"uwsgi.sharedarea_read(3, 0)", "uwsgi.sharedarea_write(3, 0, b'a')", "uwsgi.sharedarea_inc64(0)",
			"uwsgi.sharedarea_write8(0, 0)", "uwsgi.sharedarea_read8(0)", "hasattr(uwsgi, 'sharedarea_wait')",
			"hasattr(uwsgi, 'sharedarea_update')", "hasattr(uwsgi, 'sharedarea_inc8')",
		}, map[string]string{
			"uwsgi.sharedarea_write16(0, 1, -2)": "None",
		})
	_, addr := startEvaluator(t, "", "--sharedarea", "1", "--py-sharedarea", "100")
	for text, want := range map[string]string{
		"uwsgi.sharedarea_inc64(0, 4089)": error("sharedarea_inc64"), // uWSGI may die of it
		"uwsgi.sharedarea_read(-1, 0)":    error("sharedarea_read"), "uwsgi.sharedarea_rlock(-1)": error("sharedarea_rlock"),
		"uwsgi.sharedarea_write(-1, 0, b'x')": error("sharedarea_write"),
		"uwsgi.sharedarea_read(0, 0, -1)":     error("sharedarea_read"), "uwsgi.sharedarea_read(0, 0, 2**40)": error("sharedarea_read"),
		"uwsgi.sharedarea_memoryview(-1)":                                               "ValueError: cannot get a memoryview object from sharedarea -1",
		"uwsgi.sharedarea_read(1, 0, 101)":                                              error("sharedarea_read"),
		"uwsgi.sharedarea_write(1, 97, b'abc'), bytes(uwsgi.sharedarea_object(1)[97:])": "(None, b'abc')",
	} {
		if got := value(t, addr, text); got != want {
			t.Errorf("%s: %s, not %s", text, got, want)
		}
	}
}

// TestSharedAreaAbsent: without the option there is nothing of it, as in uWSGI.
func TestSharedAreaAbsent(t *testing.T) {
	t.Parallel()
	answersAlike(t, nil, "", []string{"hasattr(uwsgi, 'sharedarea_read')", "hasattr(uwsgi, 'sharedarea_memoryview')"},
		nil)
}

// TestSharedAreaLasts: all workers have the same bytes, after a reload too, and who is killed with
// the lock does not keep it.
func TestSharedAreaLasts(t *testing.T) {
	t.Parallel()
	s, addr := startEvaluator(t, "", "-p", "3", "--sharedarea", "1")
	s.Allow(`^DAMN ! worker \d`)
	evaluate(t, addr, "uwsgi.sharedarea_write(0, 8, b'kept')")
	killAtWork(t, s, addr, "(uwsgi.sharedarea_wlock(0), uwsgi.sharedarea_inc64(0, 0))")
	if got := value(t, addr, "uwsgi.sharedarea_wlock(0), uwsgi.sharedarea_read64(0, 0) > 0, "+
		"uwsgi.sharedarea_unlock(0)"); got !=
		"(None, True, None)" {
		t.Errorf("after a kill: %s", got)
	}
	s.Reload()
	if got := value(t, addr, "uwsgi.sharedarea_read(0, 8, 4)"); got != "b'kept'" {
		t.Errorf("after a reload: %s", got)
	}
}

// TestSharedAreaExcludes: who has the lock has the area to himself, whatever others call; adding
// needs no lock.
func TestSharedAreaExcludes(t *testing.T) {
	t.Parallel()
	_, addr := startEvaluator(t, "", "-p", "3", "--sharedarea", "1")
	locked := "[(uwsgi.sharedarea_wlock(0), uwsgi.sharedarea_write64(0, 0, uwsgi.sharedarea_read64(0, 0) + 1), " +
		"uwsgi.sharedarea_unlock(0)) for _ in range(2000)] and None"
	added := "[uwsgi.sharedarea_inc64(0, 0) for _ in range(2000)] and None"
	done := make(chan string)
	for _, text := range []string{locked, added, locked} {
		go func() {
			a, err := harness.HTTP(t, addr).Try("POST", "/", strings.NewReader(text))
			if err != nil {
				done <- err.Error()
				return
			}
			done <- a.Body
		}()
	}
	for range 3 {
		if got := <-done; !strings.HasSuffix(got, ": None") {
			t.Error(got)
		}
	}
	if got := value(t, addr, "uwsgi.sharedarea_read64(0, 0)"); got != "6000" {
		t.Errorf("6000 times added: %s", got)
	}
}

// TestSharedAreaOfAFile: the bytes are the file's.
func TestSharedAreaOfAFile(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/bytes"
	if err := os.WriteFile(path, append([]byte("from the file"), make([]byte, 5000)...), 0o600); err != nil {
		t.Fatal(err)
	}
	_, addr := startEvaluator(t, "", "--sharedarea", "file="+path+",size=4096")
	if got := value(t, addr, "uwsgi.sharedarea_read(0, 0, 13), uwsgi.sharedarea_write(0, 5, b'THE')"); got !=
		"(b'from the file', None)" {
		t.Error(got)
	}
	if text, err := os.ReadFile(path); err != nil || !bytes.HasPrefix(text, []byte("from THE file")) {
		t.Errorf("%.20q %v", text, err)
	}
	short := harness.New(t)
	short.Tolerate(".")
	short.Write("app.py", evaluator)
	short.Launch("--http-socket", harness.Addr(t), "--module", "app", "--master", "--sharedarea",
		"file="+path+",size=8192")
	short.Log.Wait(t, "has 5013 bytes, and 8192 are asked for")
	short.Exit()
}
