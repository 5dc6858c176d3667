package option

import (
	"bufio"
	"os"
	"strings"
	"testing"
)

// TestEveryOptionOfUWSGIHasARow compares with the list of uWSGI's options (name, letter,
// flag|required|optional).
func TestEveryOptionOfUWSGIHasARow(t *testing.T) {
	f, err := os.Open("testdata/uwsgi-options.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// Flags in uWSGI that take a value in files; here they take it on the command line, too. The
	// rows of early-* and worker-* are those of their options.
	different := map[string]bool{
		"so-send-timeout": true, "socket-send-timeout": true, "so-write-timeout": true, "socket-write-timeout": true,
		"log-sendfile": true, "log-ioerror": true,
		"else": true,
	}
	count := 0
	for in := bufio.NewScanner(f); in.Scan(); count++ {
		name, rest, _ := strings.Cut(in.Text(), "\t")
		letter, argument, _ := strings.Cut(rest, "\t")
		r, ok := Lookup(name)
		if !ok {
			t.Errorf("%s has no row", name)
			continue
		}
		got := "flag"
		switch {
		case r.Optional:
			got = "optional"
		case r.TakesValue():
			got = "required"
		}
		if got != argument && !different[name] && r.Standing == Honoured {
			t.Errorf("%s: the argument is %s, want %s", name, got, argument)
		}
		if letter != "" && r.Standing != Refused {
			if by, ok := ByLetter(letter[0]); !ok || by.Short != letter[0] {
				t.Errorf("-%s of %s is not known", letter, name)
			}
		}
	}
	if count < 1200 {
		t.Fatalf("the list has %d names only", count)
	}
}

// What people's files hold is obeyed, or has nothing to do: the lists are the promise (issue 3,
// section 3).
func TestPromisedStandings(t *testing.T) {
	for standing, names := range map[Standing]string{
		Honoured: `master processes workers threads enable-threads module wsgi-file wsgi file callable mount manage-script-name chdir chdir2
			pythonpath pp python-path home virtualenv venv pyhome env unenv envdir pyargv import need-app no-default-app socket uwsgi-socket
			http http-socket http11-socket protocol listen chmod-socket chown-socket umask so-keepalive reuse-port freebind tcp-nodelay
			defer-accept vacuum pidfile pidfile2 safe-pidfile uid gid buffer-size post-buffering limit-post harakiri harakiri-verbose
			harakiri-graceful-timeout harakiri-graceful-signal max-requests max-requests-delta min-worker-lifetime max-worker-lifetime
			reload-mercy worker-reload-mercy reload-on-as reload-on-rss evil-reload-on-as evil-reload-on-rss limit-as max-fd lazy-apps lazy
			touch-reload touch-workers-reload py-autoreload daemonize daemonize2 logto logto2 log-maxsize log-reopen touch-logreopen
			disable-logging log-4xx log-5xx log-slow log-big log-zero log-micros log-date log-prefix log-x-forwarded-for log-format
			logformat-strftime log-master memory-report auto-procname procname procname-prefix procname-prefix-spaced procname-append
			procname-master no-orphans die-on-term socket-timeout http-timeout http-keepalive http-auto-chunked http-raw-body
			chunked-input-limit chunked-input-timeout ignore-sigpipe ignore-write-errors disable-write-exception wsgi-disable-file-wrapper
			wsgi-env-behaviour logger req-logger logger-req log-route log-encoder log-req-encoder logformat log-backupname log-truncate
			log-sendfile abstract-socket master-fifo python-autoreload honour-stdin exit-on-reload rem-header paste-logger
			wsgi-manage-chunked-input http-chunked-input autoload exec-as-root close-on-exec2 if-not-exists cheap idle die-on-idle
			socket-send-timeout so-write-timeout so-send-timeout paste reaper add-header static-map static-map2 check-static static-index
			static-skip-ext static-expires static-expires-mtime static-expires-type static-expires-type-mtime static-expires-uri
			static-expires-uri-mtime static-expires-path-info static-expires-path-info-mtime static-safe mimefile file-serve-mode
			close-on-exec hook-asap hook-pre-jail hook-in-jail hook-as-root hook-as-user hook-as-user-atexit hook-pre-app hook-post-app
			hook-post-fork hook-accepting hook-accepting1 hook-accepting-once hook-accepting1-once hook-master-start hook-touch hook-lord hook-unlord exec-asap
			exec-pre-jail exec-in-jail exec-as-user exec-as-user-atexit exec-pre-app exec-post-app strict ini include inherit set
			set-placeholder declare-option show-config no-defer-accept`,
		NotNeeded: `plugins plugin plugins-dir plugin-dir thunder-lock offload-threads py-call-osafterfork
			py-call-uwsgi-fork-hooks`,
	} {
		for _, name := range strings.Fields(names) {
			if r, ok := Lookup(name); !ok || r.Standing != standing {
				t.Errorf("%s is not %s", name, standing)
			}
		}
	}
}

// languageOnly are the groups whose rows package config carries out.
var languageOnly = map[Group]bool{groupLanguage: true, groupCommands: true}

func TestRowsAreComplete(t *testing.T) {
	without := map[string]bool{"envdir": true, "early-envdir": true}
	for _, r := range All() {
		switch {
		case r.Help == "" || r.Group == "":
			t.Errorf("%s has no help or no group", r.Name)
		case r.Standing != Honoured && r.Note == "":
			t.Errorf("%s is %s without a reason", r.Name, r.Standing)
		case r.Fatal && r.Standing != Refused:
			t.Errorf("%s is fatal but %s", r.Name, r.Standing)
		case r.Standing == Honoured && r.Set == nil && !languageOnly[r.Group] && !without[r.Name]:
			t.Errorf("%s is supported but sets nothing", r.Name)
		case r.Standing != Honoured && r.Set != nil:
			t.Errorf("%s is %s but has a setter", r.Name, r.Standing)
		case strings.ContainsAny(r.Name, " =_") && r.Name != "start_response-nodelay":
			t.Errorf("%q is no name", r.Name)
		}
	}
}

func TestSuggest(t *testing.T) {
	for wrong, want := range map[string]string{
		"vaccum": "vacuum", "vaccuum": "vacuum", "vacum": "vacuum", "guid": "gid", "process": "processes", "chmod-sock": "chmod-socket",
		"deamonize": "daemonize", "socker": "socket", "plungins": "plugins", "theads": "threads", "enable-theads": "enable-threads",
		"py-callos-afterfork": "py-call-osafterfork", "b": "buffer-size", "http_socket": "http-socket", "MASTER": "master", "cdir": "chdir",
		"static-map /static": "static-map", "daemonize: /x": "daemonize", "harakri": "harakiri", "virtulenv": "virtualenv", "user": "uid",
	} {
		if got, _ := Suggest(wrong); got != want {
			t.Errorf("Suggest(%q) = %q, want %q", wrong, got, want)
		}
	}
	for _, own := range []string{"project", "base", "projectname", "domain", "site", "www", "X"} {
		if got, ok := Suggest(own); ok {
			t.Errorf("Suggest(%q) = %q, want nothing", own, got)
		}
	}
}

func TestWithPrefix(t *testing.T) {
	if got := WithPrefix("show-con"); len(got) != 1 || got[0] != "show-config" {
		t.Errorf("show-con is %v", got)
	}
	if got := WithPrefix("zzz"); len(got) != 0 {
		t.Errorf("zzz is %v", got)
	}
}

// FuzzSet: no value makes a setter panic, and a value that stops start-up says what is wrong.
func FuzzSet(f *testing.F) {
	for _, s := range []string{"", "true", "-1", "99999999999999999999", "5m", ":8000", "=1", "[::1]:80", "a=b",
		"x y z", "*/5 * * * * x",
		"cmd=x,freq=y", "minute=-5,hour=99 x", "!exec:x", "unix_signal:15 gracefully_kill_them_all", "/x=", "regexp 5", "json:a {}", "\\0x", "a:b:c.py"} {
		for i := 0; i < len(All()); i += 7 {
			f.Add(i, s)
		}
	}
	f.Fuzz(func(t *testing.T, i int, text string) {
		all := All()
		r := all[((i%len(all))+len(all))%len(all)]
		v := Value{Name: r.Name, Text: text, Given: true}
		for _, fn := range []func() error{
			func() error {
				if r.Set == nil {
					return nil
				}
				return r.Set(Default(), v)
			},
			func() error {
				if r.Judge == nil {
					return nil
				}
				return r.Judge(v)
			},
		} {
			if err := fn(); err != nil && strings.TrimSpace(err.Error()) == "" {
				t.Fatalf("%s = %q fails without a word", r.Name, text)
			}
		}
	})
}

// TestAddress: the port is read as uWSGI reads it.
func TestAddress(t *testing.T) {
	for text, want := range map[string]string{
		":8000": ":8000", ": 5000": ":5000", ":\t5000": ":5000", "127.0.0.1: 5000": "127.0.0.1:5000", ":8000;": ":8000", ":8000/": ":8000",
		"*: 80": ":80", "[::1]:80": "[::1]:80", ":http": "", ":": "", ":+80": "", ":70000": "", ":$(PORT)": "",
	} {
		got, err := address(Value{Name: "http", Text: text, Given: true})
		if got != want || survivable(err) != (want != "") {
			t.Errorf("%q is %q, %v", text, got, err)
		}
	}
}
