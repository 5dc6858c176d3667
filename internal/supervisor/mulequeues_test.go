package supervisor

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"uwsgi/internal/option"
	"uwsgi/internal/sys"
	"uwsgi/internal/wire"
)

// TestPassOn: what waits for mules and farms that are no more goes to the queue of all, in order,
// with its descriptors, and only once there is somebody to take it and room.
func TestPassOn(t *testing.T) {
	var m muleQueues
	defer m.close()
	set := option.Default()
	set.Mules, set.Farms = make([]option.Mule, 2), []option.Farm{{Name: "f", Mules: []int{2}}}
	if _, _, err := m.of(set, &wire.Boot{}); err != nil {
		t.Fatal(err)
	}
	put := func(queue, text string, beside ...int) {
		t.Helper()
		fd, err := rawFD(m.ends[queue][0])
		if err == nil {
			err = unix.Sendmsg(fd, []byte(text), unix.UnixRights(beside...), nil, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	got := func() (text string, fds []int) {
		t.Helper()
		data, oob := make([]byte, 100), make([]byte, unix.CmsgSpace(4))
		n, oobn, err := recvPacket(m.ends["shared"][1], data, oob, 0)
		if err != nil {
			return "", nil
		}
		return string(data[:n]), sys.Descriptors(oob[:oobn])
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	put("mule 2", "one")
	put("mule 2", "two", int(null.Fd()))
	put("mule 1", "served")
	if n, left := m.passOn(&option.Settings{}); n != 0 || left {
		t.Error("nobody is there to take them:", n, left)
	}
	set.Mules, set.Farms = set.Mules[:1], nil
	if n, left := m.passOn(set); n != 2 || left {
		t.Error(n, left)
	}
	if text, fds := got(); text != "one" || len(fds) != 0 {
		t.Error(text, fds)
	}
	text, fds := got()
	if text != "two" || len(fds) != 1 {
		t.Error(text, fds)
	}
	for _, fd := range fds {
		unix.Close(fd)
	}
	if text, _ := got(); text != "" {
		t.Error(text)
	}
	fd, err := rawFD(m.ends["shared"][0])
	for err == nil {
		err = unix.Sendto(fd, []byte("fills"), unix.MSG_DONTWAIT, nil)
	}
	put("farm f", "three")
	if n, left := m.passOn(set); n != 0 || !left {
		t.Error("there is no room:", n, left)
	}
	for text := "fills"; text == "fills"; {
		text, _ = got()
	}
	if n, left := m.passOn(set); n != 1 || left {
		t.Error(n, left)
	}
}
