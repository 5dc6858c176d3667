package sd

import (
	"bytes"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/sd/entry"
)

type journald struct {
	path string
	conn *net.UnixConn
}

func newJournald(t *testing.T, path string) *journald {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &journald{path, conn}
}

// next reads one entry, from a memfd too.
func (j *journald) next(t *testing.T) map[string]string {
	t.Helper()
	buf, oob := make([]byte, 1<<20), make([]byte, 256)
	if err := j.conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	n, on, _, _, err := j.conn.ReadMsgUnix(buf, oob)
	if err != nil {
		t.Fatal(err)
	}
	if on == 0 {
		return decode(t, buf[:n])
	}
	cms, err := unix.ParseSocketControlMessage(oob[:on])
	if err != nil {
		t.Fatal(err)
	}
	fds, err := unix.ParseUnixRights(&cms[0])
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[0]), "memfd")
	defer f.Close()
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if want := unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL; err != nil ||
		seals != want {
		t.Errorf("seals %x, %v", seals, err)
	}
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, st.Size())
	if _, err := f.ReadAt(data, 0); err != nil {
		t.Fatal(err)
	}
	return decode(t, data)
}

// decode reads the native protocol as journald does.
func decode(t *testing.T, b []byte) map[string]string {
	t.Helper()
	out := map[string]string{}
	for len(b) > 0 {
		nl := bytes.IndexByte(b, '\n')
		if nl < 0 {
			t.Fatalf("an entry ends in %q", b)
		}
		if name, value, ok := bytes.Cut(b[:nl], []byte("=")); ok {
			out[string(name)] = string(value)
			b = b[nl+1:]
			continue
		}
		name := string(b[:nl])
		if len(b) < nl+10 {
			t.Fatalf("field %s: no length", name)
		}
		size := binary.LittleEndian.Uint64(b[nl+1:])
		b = b[nl+9:]
		if uint64(len(b)) < size+1 || b[size] != '\n' {
			t.Fatalf("field %s: length %d of %d", name, size, len(b))
		}
		out[name] = string(b[:size])
		b = b[size+1:]
	}
	return out
}

func TestJournalSend(t *testing.T) {
	d := newJournald(t, filepath.Join(shortDir(t), "j"))
	j, err := OpenJournal(d.path, Field{"SYSLOG_IDENTIFIER", "uwsgi"})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if !j.Send(PriErr, "two\nlines", Field{"UWSGI_WORKER", "1"}, Field{"_PID", "1"}, Field{"lower", "x"}) {
		t.Fatal("not sent")
	}
	e := d.next(t)
	if len(e) != 4 || e["MESSAGE"] != "two\nlines" || e["PRIORITY"] != "3" || e["UWSGI_WORKER"] != "1" ||
		e["SYSLOG_IDENTIFIER"] != "uwsgi" {
		t.Errorf("%q", e)
	}
	big := strings.Repeat("x", 9<<20)
	if !j.Send(PriInfo, big) {
		t.Fatal("a big entry was not sent")
	}
	if e := d.next(t); e["MESSAGE"] != big || e["PRIORITY"] != "6" {
		t.Error("a big entry was changed")
	}
}

func TestJournalNeverBlocks(t *testing.T) {
	d := newJournald(t, filepath.Join(shortDir(t), "j"))
	j, err := OpenJournal(d.path)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	sent := 0
	for j.Send(PriInfo, "x") {
		sent++
	}
	for range 9 {
		j.Send(PriInfo, "lost")
	}
	if j.Lost() != 10 {
		t.Errorf("lost %d", j.Lost())
	}
	for range sent {
		d.next(t)
	}
	if !j.Send(PriInfo, "again") {
		t.Fatal("not sent")
	}
	if e := d.next(t); e["MESSAGE"] != "10 log entries were lost: the journal did not take them in time" ||
		e["PRIORITY"] != "4" {
		t.Errorf("%q", e)
	}
	if e := d.next(t); e["MESSAGE"] != "again" {
		t.Errorf("%q", e)
	}
}

// A journald that takes nothing holds up the first warning, and no other.
func TestJournalStuck(t *testing.T) {
	d := newJournald(t, filepath.Join(shortDir(t), "j"))
	j, err := OpenJournal(d.path)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	for j.Send(PriInfo, "x") {
	}
	begin := time.Now()
	for range 100 {
		j.Send(PriErr, "lost")
	}
	if took := time.Since(begin); took < eventPatience/2 || took > 50*eventPatience {
		t.Errorf("100 errors took %v", took)
	}
	d.next(t)
	d.next(t)
	if !j.Send(PriInfo, "again") {
		t.Error("not sent")
	}
}

func TestJournalSettle(t *testing.T) {
	d := newJournald(t, filepath.Join(shortDir(t), "j"))
	j, err := OpenJournal(d.path)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	j.Send(PriErr, "the last word")
	begin := time.Now()
	j.Settle(30 * time.Millisecond)
	if took := time.Since(begin); took < 30*time.Millisecond {
		t.Errorf("it waited %v for an entry that nobody reads", took)
	}
	d.next(t)
	begin = time.Now()
	j.Settle(time.Minute)
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it waited %v with everything read", took)
	}
}

// A loss is reported though nothing is written any more.
func TestJournalTellsOfALossByItself(t *testing.T) {
	d := newJournald(t, filepath.Join(shortDir(t), "j"))
	j, err := OpenJournal(d.path)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	sent := 0
	for j.Send(PriInfo, "x") {
		sent++
	}
	for range sent {
		d.next(t)
	}
	j.Lose(5)
	if e := d.next(t); e["MESSAGE"] != "6 log entries were lost: the journal did not take them in time" ||
		j.Lost() != 6 {
		t.Errorf("%q", e)
	}
}

func TestJournaldRestarted(t *testing.T) {
	path := filepath.Join(shortDir(t), "j")
	d := newJournald(t, path)
	j, err := OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	d.conn.Close()
	if j.Send(PriInfo, "nobody") {
		t.Error("sent to nobody")
	}
	os.Remove(path)
	d = newJournald(t, path)
	if !j.Send(PriInfo, "hello") {
		t.Fatal("not sent")
	}
	if e := d.next(t); !strings.HasPrefix(e["MESSAGE"], "1 log entries were lost") {
		t.Errorf("%q", e)
	}
	if e := d.next(t); e["MESSAGE"] != "hello" {
		t.Errorf("%q", e)
	}
	if err := j.Close(); err != nil || j.Close() != nil || j.Send(PriInfo, "closed") {
		t.Error("close", err)
	}
	if _, err := OpenJournal("/no/such/socket"); err == nil {
		t.Error("no journal: no error")
	}
}

func TestDialJournal(t *testing.T) {
	d := newJournald(t, filepath.Join(shortDir(t), "j"))
	f, err := DialJournal(d.path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(entry.AppendField(nil, "MESSAGE", "x")); err != nil || d.next(t)["MESSAGE"] != "x" {
		t.Error(err)
	}
}

func FuzzEntry(f *testing.F) {
	f.Add("MESSAGE", "a\nb", "STATUS", "200")
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2 string) {
		want := map[string]string{}
		for _, p := range [][2]string{{n1, v1}, {n2, v2}} {
			if entry.ValidFieldName(p[0]) {
				want[p[0]] = p[1]
			}
		}
		got := decode(t, entry.AppendField(entry.AppendField(nil, n1, v1), n2, v2))
		if len(got) != len(want) {
			t.Fatalf("%q, want %q", got, want)
		}
		for k, v := range want {
			if got[k] != v {
				t.Fatalf("%s: %q, want %q", k, got[k], v)
			}
		}
	})
}

func TestMessageIDsAreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for _, id := range []string{MessageStartFailed, MessageReady, MessageReloadOK, MessageReloadFailed,
		MessageHarakiri, MessageWorkerDied,
		MessageWorkerRecycled, MessageStopped} {
		if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" || seen[id] {
			t.Error(id)
		}
		seen[id] = true
	}
}
