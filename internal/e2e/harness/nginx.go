package harness

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Nginx is a private nginx: its own configuration, processes, and an unprivileged port.
type Nginx struct {
	Addr      string
	dir       string
	t         testing.TB
	tolerated []*regexp.Regexp
}

// nginxConf has connections for 9,000 clients, two each: nginx drops waiting clients without a word
// when the last sixteenth is in use.
const nginxConf = `daemon off;
%[5]s
worker_processes 1;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log warn;
events { worker_connections %[6]d; }
http {
    access_log off;
    include /etc/nginx/mime.types;
    client_max_body_size 0;
    client_body_temp_path %[1]s/body;
    proxy_temp_path %[1]s/proxy;
    uwsgi_temp_path %[1]s/uwsgi;
    fastcgi_temp_path %[1]s/fastcgi;
    scgi_temp_path %[1]s/scgi;
    %[4]s
    server {
        listen %[2]s backlog=4096;
        server_name localhost;
%[3]s
    }
}
`

// StartNginx starts one whose server block holds server, and whose http block holds the further
// lines.
func StartNginx(t testing.TB, server string, http ...string) *Nginx {
	t.Helper()
	dir, err := os.MkdirTemp("", "ng")
	if err != nil {
		t.Fatal(err)
	}
	os.Chmod(dir, 0o755)
	t.Cleanup(func() { os.RemoveAll(dir) })
	n := &Nginx{Addr: Addr(t), dir: dir, t: t}
	user := ""
	if os.Getuid() == 0 {
		user = "user www-data;" // as the distribution's own nginx.conf has it
	}
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir, n.Addr, server, strings.Join(http, "\n    "), user,
		min(19456, openFiles)),
		0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nginx", "-p", dir, "-c", conf, "-e", filepath.Join(dir, "error.log"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		n.checkLog()
	})
	for late := time.Now().Add(Patience); ; time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial("tcp", n.Addr); err == nil {
			c.Close()
			return n
		}
		select {
		case <-ended:
			t.Fatalf("nginx ended: %s\n%s", out.String(), n.ErrorLog())
		default:
			if time.Now().After(late) {
				t.Fatalf("nginx does not answer on %s", n.Addr)
			}
		}
	}
}

// ErrorLog is what nginx has complained about.
func (n *Nginx) ErrorLog() string {
	b, _ := os.ReadFile(filepath.Join(n.dir, "error.log"))
	return string(b)
}

// buffering is what nginx says of every body that it keeps in a file, which is no complaint.
var buffering = regexp.MustCompile(`is buffered to a temporary file`)

// Tolerate announces complaints that the test provokes.
func (n *Nginx) Tolerate(pattern string) {
	n.tolerated = append(n.tolerated, regexp.MustCompile(pattern))
}

func (n *Nginx) checkLog() {
	complaints := 0
	for _, line := range strings.Split(strings.TrimSpace(n.ErrorLog()), "\n") {
		known := slices.ContainsFunc(n.tolerated, func(re *regexp.Regexp) bool { return re.MatchString(line) })
		if line != "" && !known && !buffering.MatchString(line) {
			if complaints++; complaints > 20 {
				n.t.Errorf("nginx complains further")
				break
			}
			n.t.Errorf("nginx complains: %s", line)
		}
	}
}
