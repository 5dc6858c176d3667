package spool

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"uwsgi/internal/escape"
)

// job is the file of a job that says a=b.
const job = "\x11\x06\x00\x00\x01\x00a\x01\x00bbody"

// odd is a folder with all that may be found in one.
func odd(t *testing.T) (dir string, f *Folder) {
	t.Helper()
	dir = spoolFolder(t)
	for _, sub := range []string{"3", "failed", "3/failed", "other"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"uwsgi_spoolfile_on_here_1_2_3_1700000000_1":             job,
		"uwsgi_spoolfile_on_here_1_10_3_1700000000_1":            job,
		"3/uwsgi_spoolfile_on_here_1_2_3_1700000000_1":           job,
		"uwsgi_spoolfile_on_\x1b[31mred\n\xff":                   job,
		"uwsgi_spoolfile_on_torn":                                "\x11\xff\xff\x00",
		"uwsgi_spoolfile_on_wrong":                               "\x11\x04\x00\x00\xff\xff\x00\x00",
		"failed/uwsgi_spoolfile_on_gone_1_1_1_1_1":               job,
		"failed/uwsgi_spoolfile_on_gone_1_1_1_1_1.traceback":     "ValueError: it fails\n",
		"3/failed/uwsgi_spoolfile_on_gone_2":                     job,
		"other/uwsgi_spoolfile_on_elsewhere":                     job,
		".uwsgi_spooling_here":                                   "",
		".uwsgi_spoolfile_on_here_1_2_3_1700000000_1.attempts":   `{"attempts": 2, "running": false, "why": "It fails."}`,
		".uwsgi_spoolfile_on_here_1_10_3_1700000000_1.attempts":  `[[[`,
		"3/.uwsgi_spoolfile_on_here_1_2_3_1700000000_1.attempts": strings.Repeat("[", 10000),
		"notes.txt": "mine",
	} {
		write(t, filepath.Join(dir, name), text)
	}
	big := filepath.Join(dir, "uwsgi_spoolfile_on_big")
	write(t, big, job)
	if err := errors.Join(os.Truncate(big, 1<<42),
		os.Symlink("/etc/passwd", filepath.Join(dir, "uwsgi_spoolfile_on_link")),
		os.Symlink("/etc", filepath.Join(dir, "7")),
		mkfifo(filepath.Join(dir, "uwsgi_spoolfile_on_fifo"))); err != nil {
		t.Fatal(err)
	}
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return dir, f
}

// TestOddFolder: what is no job is not listed, what may be one is with what can be said of it.
func TestOddFolder(t *testing.T) {
	t.Parallel()
	_, f := odd(t)
	all, err := f.List()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]State{}
	for _, j := range all {
		got[j.Name] = j.State
	}
	want := map[string]State{
		"3/uwsgi_spoolfile_on_here_1_2_3_1700000000_1": Waiting, "uwsgi_spoolfile_on_here_1_2_3_1700000000_1": Waiting,
		"uwsgi_spoolfile_on_here_1_10_3_1700000000_1": Waiting, "uwsgi_spoolfile_on_\x1b[31mred\n\xff": Waiting,
		"uwsgi_spoolfile_on_torn": Torn, "uwsgi_spoolfile_on_wrong": Waiting, "uwsgi_spoolfile_on_big": Waiting,
		"failed/uwsgi_spoolfile_on_gone_1_1_1_1_1": Failed, "3/failed/uwsgi_spoolfile_on_gone_2": Failed,
	}
	if len(got) != len(want) || len(all) != len(want) {
		t.Errorf("%v", got)
	}
	for name, state := range want {
		if got[name] != state {
			t.Errorf("%q is %q, not %q", name, got[name], state)
		}
		job, err := f.Show(name)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if _, err := json.Marshal(job); err != nil {
			t.Error(err)
		}
	}
	if last := all[len(all)-2:]; last[0].State != Failed || last[1].State != Failed {
		t.Errorf("what failed is not last: %+v", all)
	}
	if j, err := f.Show("uwsgi_spoolfile_on_here_1_2_3_1700000000_1"); err != nil || string(j.Body) != "body" ||
		len(j.Variables) != 1 || j.Attempts != 2 || j.Why != "It fails." || j.Put.Unix() != 1700000000 {
		t.Errorf("%+v, %v", j, err)
	}
	if j, err := f.Show("uwsgi_spoolfile_on_big"); err != nil || len(j.Body) == 0 || j.Size != 1<<42 {
		t.Errorf("%v", err)
	}
}

// TestNames: a job is meant by its name, as it is or as it is listed, or by its end; nothing that
// is no job is, in the folder or elsewhere.
func TestNames(t *testing.T) {
	t.Parallel()
	dir, f := odd(t)
	red := "uwsgi_spoolfile_on_\x1b[31mred\n\xff"
	const torn, two = "uwsgi_spoolfile_on_torn", "uwsgi_spoolfile_on_here_1_2_3_1700000000_1"
	meant := map[string]string{
		red: red, escape.String(red): red, "gone_2": "3/failed/uwsgi_spoolfile_on_gone_2", "./" + torn: torn,
		"3/../" + torn: torn, "10_3_1700000000_1": "uwsgi_spoolfile_on_here_1_10_3_1700000000_1", two: two,
	}
	for _, nothing := range []string{"", ".", "..", "3", "3/", "/", "*", "000", "_1700000000_1",
		"notes.txt", "/etc/passwd",
		"../../etc/passwd", "7/passwd", "uwsgi_spoolfile_on_link", "uwsgi_spoolfile_on_fifo",
		"other/uwsgi_spoolfile_on_elsewhere", "uwsgi_spoolfile_on_gone_1_1_1_1_1.traceback", filepath.Join(dir, torn),
		"." + two + ".attempts", torn + "\x00", strings.Repeat("a", 1<<16),
		"failed/../../" + filepath.Base(dir) + "/notes.txt"} {
		meant[nothing] = ""
	}
	for arg, want := range meant {
		got, err := f.Find(arg)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%.60q means %q, %v", arg, got, err)
		}
	}
}

// TestRetryAndDrop: what runs is left alone, what failed runs again and has its traceback no more.
func TestRetryAndDrop(t *testing.T) {
	t.Parallel()
	dir, f := odd(t)
	const name = "uwsgi_spoolfile_on_here_1_2_3_1700000000_1"
	running, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.FcntlFlock(running.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
		t.Fatal(err)
	}
	for _, do := range []func(string) error{f.Retry, f.Drop} {
		if err := do(name); err == nil || !strings.Contains(err.Error(), "runs now") {
			t.Errorf("one that runs: %v", err)
		}
	}
	running.Close()
	if err := f.Drop(name); err != nil {
		t.Error(err)
	}
	const failing = "failed/uwsgi_spoolfile_on_gone_1_1_1_1_1"
	if err := f.Retry(failing); err != nil {
		t.Error(err)
	}
	for _, do := range []func(string) error{f.Retry, f.Drop} {
		if err := do(failing); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("one that is gone: %v", err)
		}
	}
	for _, gone := range []string{name, "." + name + ".attempts", failing, failing + ".traceback"} {
		if _, err := os.Lstat(filepath.Join(dir, gone)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", gone, err)
		}
	}
	if j, err := f.Show(filepath.Base(failing)); err != nil || j.State != Waiting {
		t.Errorf("%+v, %v", j, err)
	}
	if err := f.Drop("uwsgi_spoolfile_on_link"); err == nil {
		t.Error("a link was followed")
	}
}
