package e2e

import (
	"os/exec"
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// TestSocketIO: Flask-SocketIO with rooms, broadcasts, acknowledgements and background tasks in
// each mode that is ours to serve, by polling, by WebSocket and from one to the other, straight
// over HTTP and behind nginx.
func TestSocketIO(t *testing.T) {
	t.Parallel()
	venv := harness.Async(t)
	for mode, options := range map[string]string{
		"threading":    "--threads 16",
		"gevent":       "--gevent 100 --gevent-monkey-patch",
		"gevent_uwsgi": "--gevent 100 --gevent-monkey-patch",
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s, addr := harness.New(t), harness.Addr(t)
			s.Copy("testdata/socketio_app.py", "app.py")
			s.Setenv("MODE=" + mode)
			// engineio's writing thread may say good-bye on a socket that its request has closed
			if mode == "threading" {
				s.Tolerate(`engineio/socket.py", line \d+, in writer(.|\n)*OSError: \[Errno 9\] Bad file descriptor`)
			}
			s.Start(append([]string{"--http", addr, "--socket", s.Path("s.sock"),
				"--chmod-socket=666", "--module", "app",
				"--virtualenv", venv}, strings.Fields(options)...)...)
			front := harness.StartNginx(t, "location / { include /etc/nginx/uwsgi_params; uwsgi_pass unix:"+
				s.Path("s.sock")+"; }")
			for _, base := range []string{addr, front.Addr} {
				if out, err := exec.Command(venv+"/bin/python", "testdata/socketio_clients.py",
					base).CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", base, err, out)
				}
			}
		})
	}
}
