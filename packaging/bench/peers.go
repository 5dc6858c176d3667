package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// world is where everything is.
type world struct {
	root    string // the source tree
	apps    string
	ours    string // bin/uwsgi
	against string // another build of it, or ""
	venv    string // the peers, outside of the tree
	async   string // the peers of asynchronous Python, and the frameworks
	work    string // sockets, logs, files to serve
	uwsgi   []string
	nginx   string
	quick   bool
	rounds  int
	stretch time.Duration
	port    int
}

// asyncPeers are those of packaging/async.txt that the table names.
var asyncPeers = []string{"uvicorn", "uvloop", "httptools", "fastpysgi", "gevent", "starlette", "fastapi"}

var pypi = []string{"gunicorn", "granian", "waitress", "fastwsgi", "bjoern", "Django"}

// install brings the peers, once: a virtual environment in the user's cache, and uWSGI as PyPI has
// it, or Debian's where it cannot be built.
func (w *world) install() error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	w.venv = filepath.Join(cache, "uwsgi-bench", "venv")
	python := filepath.Join(w.venv, "bin", "python3")
	if _, err := os.Stat(python); err != nil {
		w.apt("python3-venv", "python3-dev", "gcc", "libev-dev")
		if err := run("/usr/bin/python3", "-m", "venv", w.venv); err != nil {
			return fmt.Errorf("make a virtual environment: %w", err)
		}
		// uWSGI and bjoern's build scripts, and fastwsgi's use of pkg_resources, need these.
		if err := run(python, "-m", "pip", "install", "-q", "setuptools<80", "wheel"); err != nil {
			return err
		}
		for _, name := range append(pypi, "uwsgi") {
			if err := run(python, "-m", "pip", "install", "-q", name); err != nil {
				fmt.Fprintf(os.Stderr, "bench: %s cannot be installed: %v\n", name, err)
			}
		}
	}
	if bin := filepath.Join(w.venv, "bin", "uwsgi"); executable(bin) {
		w.uwsgi = []string{bin}
	} else {
		if !executable("/usr/bin/uwsgi-core") {
			w.apt("uwsgi-core", "uwsgi-plugin-python3")
		}
		w.uwsgi = []string{"/usr/bin/uwsgi-core", "--plugins", "python3"}
	}
	script := filepath.Join(w.root, "packaging", "deps.sh")
	if err := run(script, "async"); err != nil {
		return fmt.Errorf("%s async: %w", script, err)
	}
	out, err := exec.Command(script, "venv").Output()
	if err != nil {
		return fmt.Errorf("%s venv: %w", script, err)
	}
	w.async = strings.TrimSpace(string(out))
	if w.nginx, err = exec.LookPath("nginx"); err != nil {
		w.apt("nginx-light")
		if w.nginx, err = exec.LookPath("nginx"); err != nil {
			w.nginx = ""
		}
	}
	return nil
}

func executable(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode()&0o111 != 0
}

func (w *world) apt(names ...string) {
	if os.Getuid() != 0 {
		fmt.Fprintln(os.Stderr, "bench: missing packages; run as root: apt-get install", strings.Join(names, " "))
		return
	}
	run("apt-get", "update", "-qq")
	run("apt-get", append([]string{"install", "-y", "-qq", "--no-install-recommends"}, names...)...)
}

func run(name string, args ...string) error {
	c := exec.Command(name, args...)
	c.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	return c.Run()
}

// versions names what is compared.
func (w *world) versions() map[string]string {
	v := map[string]string{}
	for venv, names := range map[string][]string{w.venv: append(pypi, "uWSGI"), w.async: asyncPeers} {
		out, _ := exec.Command(filepath.Join(venv, "bin", "python3"), "-m", "pip", "list", "--format=freeze").Output()
		for line := range strings.Lines(string(out)) {
			if name, version, ok := strings.Cut(strings.TrimSpace(line), "=="); ok {
				for _, want := range names {
					if strings.EqualFold(want, name) {
						v[want] = version
					}
				}
			}
		}
	}
	var out []byte
	if len(w.uwsgi) > 1 {
		out, _ = exec.Command(w.uwsgi[0], "--version").Output()
		v["uWSGI"] = strings.TrimSpace(string(out))
	}
	out, _ = exec.Command(filepath.Join(w.venv, "bin", "python3"), "-V").Output()
	v["Python"] = strings.TrimSpace(strings.TrimPrefix(string(out), "Python "))
	if w.nginx != "" {
		out, _ = exec.Command(w.nginx, "-v").CombinedOutput()
		_, v["nginx"], _ = strings.Cut(strings.TrimSpace(string(out)), "/")
	}
	out, _ = exec.Command(w.ours, "--version").Output()
	v["uwsgi (this)"] = strings.TrimSpace(string(out))
	return v
}

// side is one server of a row.
type side struct {
	name    string // as the table shows it
	kind    string // us, uwsgi, gunicorn …
	proto   string // uwsgi-unix, uwsgi-tcp, http, http11, router
	app     string // hello, paths, django
	workers int
	threads int
	extra   []string
	env     []string
	keep    bool // the client keeps the connection
	journal bool
	binary  string // us: another build
	async   bool   // of the other virtual environment
}

// running is a side that serves.
type running struct {
	*process
	side          side
	network, addr string
}

// command gives what starts s, and where it listens.
func (w *world) command(s side) (argv []string, network, addr string) {
	w.port++
	network, addr = "tcp", fmt.Sprintf("127.0.0.1:%d", w.port)
	if s.proto == "uwsgi-unix" {
		network, addr = "unix", filepath.Join(w.work, fmt.Sprintf("%d.sock", w.port))
	}
	venv := w.venv
	if s.async {
		venv = w.async
	}
	bin := func(name string) string { return filepath.Join(venv, "bin", name) }
	workers := strconv.Itoa(s.workers)
	module := s.app
	switch s.kind {
	case "us", "uwsgi", "uwsgi-gevent":
		socket := map[string]string{"uwsgi-unix": "--socket", "uwsgi-tcp": "--socket", "http": "--http-socket",
			"http11": "--http11-socket", "router": "--http"}[s.proto]
		if s.kind == "us" {
			argv = []string{w.ours, "--home", venv}
			if s.binary != "" {
				argv[0] = s.binary
			}
		} else {
			argv = append(argv, w.uwsgi...)
			if s.kind == "uwsgi-gevent" && len(w.uwsgi) > 1 { // Debian's, with Debian's gevent
				argv[len(argv)-1] += ",gevent_python3"
				venv = "/usr"
			}
			argv = append(argv, "--virtualenv", venv, "--need-app")
		}
		argv = append(argv, socket, addr, "--master", "-p", workers, "--chdir", w.cwd(s), "--module", module,
			"--buffer-size", "32768", "--listen", "1024")
		if s.threads > 1 {
			argv = append(argv, "--threads", strconv.Itoa(s.threads))
		}
		if s.proto == "router" && s.kind == "uwsgi" {
			argv = append(argv, "--http-keepalive=75")
		}
		quiet := true
		for _, e := range s.extra {
			quiet = quiet && !strings.HasPrefix(e, "--log") && !strings.HasPrefix(e, "--req")
		}
		if quiet && !s.journal {
			argv = append(argv, "--disable-logging")
		}
	case "gunicorn":
		argv = []string{bin("gunicorn"), "--chdir", w.cwd(s), "-b", addr, "-w", workers, "--log-level", "warning",
			module + ":application"}
	case "granian":
		argv = []string{bin("granian"), "--interface", "wsgi", "--working-dir", w.cwd(s), "--no-ws", "--log-level",
			"warning", "--host", "127.0.0.1", "--port", strconv.Itoa(w.port), "--workers", workers,
			module + ":application"}
	case "granian-asgi":
		argv = []string{bin("granian"), "--interface", "asgi", "--http", "1", "--loop", "uvloop", "--working-dir",
			w.cwd(s), "--log-level", "warning", "--host", "127.0.0.1", "--port", strconv.Itoa(w.port), "--workers",
			workers, module + ":application"}
	case "uvicorn":
		argv = []string{bin("uvicorn"), "--app-dir", w.cwd(s), "--loop", "uvloop", "--http", "httptools",
			"--no-access-log", "--log-level", "warning", "--host", "127.0.0.1", "--port", strconv.Itoa(w.port),
			"--workers", workers, module + ":application"}
	case "fastpysgi":
		argv = []string{bin("fastpysgi"), "--host", "127.0.0.1", "-p", strconv.Itoa(w.port), "-l", "2",
			module + ":application"}
	case "bjoern", "fastwsgi":
		argv = []string{bin("python3"), filepath.Join(w.apps, "many.py"), s.kind, "127.0.0.1",
			strconv.Itoa(w.port), workers, module}
	case "waitress":
		argv = []string{bin("waitress-serve"), "--listen", addr, "--threads", workers, module + ":application"}
	case "nginx":
		argv = []string{w.nginx, "-e", "stderr", "-c", w.nginxConfig(s, addr)}
	}
	return append(argv, s.extra...), network, addr
}

func (w *world) cwd(s side) string {
	if strings.HasPrefix(s.app, "django") {
		return filepath.Join(w.apps, "site")
	}
	return w.apps
}

// nginxConfig serves files, or stands before the unix socket that s.app names.
func (w *world) nginxConfig(s side, addr string) string {
	place := "root " + w.files() + ";"
	if strings.HasPrefix(s.app, "/") {
		place = "include /etc/nginx/uwsgi_params; uwsgi_pass unix:" + s.app + ";"
	}
	user := ""
	if os.Getuid() == 0 {
		user = " user root;" // it must get into the working directory
	}
	path := filepath.Join(w.work, fmt.Sprintf("nginx-%d.conf", w.port))
	text := fmt.Sprintf("daemon off; worker_processes %d; pid %s.pid;%s\nevents { worker_connections 16384; }\n"+
		"http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; client_body_temp_path %s; "+
		"proxy_temp_path %s; fastcgi_temp_path %s;\n"+
		"uwsgi_temp_path %s; scgi_temp_path %s; server { listen %s; location /static/ { root %s; } "+
		"location / { %s } } }\n",
		s.workers, path, user, w.work, w.work, w.work, w.work, w.work, addr, filepath.Dir(w.files()), place)
	os.WriteFile(path, []byte(text), 0o644)
	return path
}

// files is the folder that is served as /static.
func (w *world) files() string { return filepath.Join(w.work, "files", "static") }

// launch starts s and does not wait.
func (w *world) launch(s side) (*running, error) {
	argv, network, addr := w.command(s)
	stop := syscall.SIGTERM
	if strings.HasPrefix(s.kind, "uwsgi") {
		stop = syscall.SIGINT // its SIGTERM is a reload
	}
	env := append([]string{"BENCH_FILES=" + w.files(), "BENCH_DB=" + filepath.Join(w.work, "site.db"),
		"PYTHONPATH=" + w.cwd(s), "PYTHONDONTWRITEBYTECODE="}, s.env...)
	var stderr *os.File
	if s.journal {
		f, id, err := journalStream()
		if err != nil {
			return nil, err
		}
		defer f.Close()
		stderr, env = f, append(env, "JOURNAL_STREAM="+id)
	}
	name := strings.NewReplacer(" ", "-", "/", "-", ",", "").Replace(s.name) + "-" + strconv.Itoa(w.port)
	p, err := start(w.work, name, argv, env, w.cwd(s), stderr, stop)
	if err != nil {
		return nil, err
	}
	return &running{p, s, network, addr}, nil
}
