package hooks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"uwsgi/internal/needs"
	"uwsgi/internal/option"
	"uwsgi/internal/testlog"
)

func hooks(log *testlog.Lines, list ...option.Hook) *Runner {
	for i := range list {
		if list[i].Phase == "" {
			list[i].Phase = option.PhaseASAP
		}
	}
	return &Runner{Settings: &option.Settings{Hooks: list}, Print: log.Add}
}

func TestHookActions(t *testing.T) {
	dir := t.TempDir()
	p := func(n string) string { return filepath.Join(dir, n) }
	fifo := p("fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	l, err := net.Listen("unix", filepath.Join(testlog.ShortDir(t), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("UWSGI_HOOK_TEST", "")
	log := testlog.New()
	h := hooks(log,
		option.Hook{Action: "mkdir", Arg: p("d")},
		option.Hook{Action: "write", Arg: p("f") + " some text"},
		option.Hook{Action: "append", Arg: p("f") + " more"},
		option.Hook{Action: "appendn", Arg: p("f") + " !"},
		option.Hook{Action: "writen", Arg: p("g") + " line"},
		option.Hook{Action: "chmod", Arg: p("g") + " 600"},
		option.Hook{Action: "chown2", Arg: fmt.Sprintf("%s %d %d", p("g"), os.Geteuid(), os.Getegid())},
		option.Hook{Action: "chown", Arg: fmt.Sprintf("%s %d %d", p("g"), os.Geteuid(), os.Getegid())},
		option.Hook{Action: "create", Arg: p("h")},
		option.Hook{Action: "creat", Arg: p("gone")},
		option.Hook{Action: "unlink", Arg: p("gone")},
		option.Hook{Action: "sticky", Arg: p("d")},
		option.Hook{Action: "writefifo", Arg: fifo + " hello"},
		option.Hook{Action: "putenv", Arg: "UWSGI_HOOK_TEST=1"},
		option.Hook{Action: "exec", Arg: `test "$UWSGI_HOOK_TEST" = 1 && echo x > ` + p("x")},
		option.Hook{Action: "safeexec", Arg: "exit 3"},
		option.Hook{Action: "wait_for_file", Arg: p("f")},
		option.Hook{Action: "wait_for_dir", Arg: p("d")},
		option.Hook{Action: "wait_for_fs", Arg: p("f")},
		option.Hook{Action: "wait_for_socket", Arg: l.Addr().String()},
		option.Hook{Action: "unix_signal", Arg: "15 gracefully_kill_them_all"},
		option.Hook{Action: "print", Arg: "printed"},
		option.Hook{Action: "print", Arg: "secret", Private: true},
		option.Hook{Phase: "as-user", Action: "exec", Arg: "exit 1"},
	)
	var signals []string
	h.Signal = func(n int, fn string) error {
		signals = append(signals, fmt.Sprint(n, fn))
		return nil
	}
	if err := h.Run(t.Context(), option.PhaseASAP); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"f": "some textmore!\n", "g": "line\n", "h": "", "x": "x\n"} {
		if b, err := os.ReadFile(p(name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if st, _ := os.Stat(p("g")); st.Mode().Perm() != 0o600 {
		t.Error(st.Mode())
	}
	if st, _ := os.Stat(p("d")); st.Mode()&os.ModeSticky == 0 {
		t.Error(st.Mode())
	}
	buf := make([]byte, 10)
	if n, err := r.Read(buf); err != nil || string(buf[:n]) != "hello" {
		t.Error(string(buf[:n]), err)
	}
	if fmt.Sprint(signals) != "[15gracefully_kill_them_all]" {
		t.Error(signals)
	}
	if _, err := os.Lstat(p("gone")); err == nil {
		t.Error("not unlinked")
	}
	log.Wait(fmt.Sprintf("running %q (asap)...", "mkdir:"+p("d")))
	log.Wait("running --- PRIVATE HOOK --- (asap)...")
	log.Wait(`command "exit 3" exited with non-zero code: 3`)
	log.Wait("printed")
	for _, a := range option.HookActions {
		if _, ok := actions[a]; !ok {
			t.Errorf("the option table knows %s, nobody carries it out", a)
		}
	}
}

func TestHookFailures(t *testing.T) {
	for _, c := range []struct{ action, arg, want string }{
		{"exec", "exit 4", `command "exit 4" exited with non-zero code: 4`},
		{"cd", "/no/such/dir", "no such file"},
		{"chmod", "/x", "2 words"},
		{"chmod", "/x 9z", "octal"},
		{"chown", "/x nobody-at-all 1", "unable to find uid nobody-at-all"},
		{"chown2", "/x root 1", "unable to find uid root"},
		{"putenv", "X", "NAME=VALUE"},
		{"unix_signal", "x y", "unix_signal"},
		{"exit", "999", "exit status"},
		{"dance", "", "hook action not found: dance"},
		{"writefifo", "/no/such/fifo x", "no such file"},
	} {
		err := hooks(testlog.New(), option.Hook{Action: c.action, Arg: c.arg}).Run(t.Context(), option.PhaseASAP)
		if !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:%s: %v", c.action, c.arg, err)
		}
	}
	err := hooks(testlog.New(), option.Hook{Action: "exec", Arg: "exit 4; password", Private: true}).Run(t.Context(),
		option.PhaseASAP)
	if err == nil || strings.Contains(err.Error(), "password") {
		t.Error(err)
	}
	var exit *ExitError
	if err := hooks(testlog.New(), option.Hook{Action: "exit", Arg: "5"}).Run(t.Context(),
		option.PhaseASAP); !errors.As(err, &exit) || exit.Code != 5 {
		t.Error(err)
	}
	log := testlog.New()
	if err := hooks(log, option.Hook{Phase: option.PhaseUserAtExit, Action: "exec", Arg: "exit 1"}).Run(t.Context(), option.PhaseUserAtExit); err != nil || log.Count(`command "exit 1"`) != 1 {
		t.Error(err, log)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := hooks(testlog.New(), option.Hook{Action: "wait_for_fs", Arg: "/no/such/path"}).Run(ctx,
		option.PhaseASAP); !errors.Is(err, ErrFailed) {
		t.Error(err)
	}
	if err := hooks(testlog.New()).Exec(t.Context(), "true"); err != nil {
		t.Error(err)
	}
}

// TestHooksAsRoot: who is not root has none.
func TestHooksAsRoot(t *testing.T) {
	for _, root := range []bool{true, false} {
		log := testlog.New()
		h := hooks(log, option.Hook{Phase: option.PhaseAsRoot, Option: "exec-as-root", Action: "exec", Arg: "exit 1"})
		h.Root = root
		err := h.Run(t.Context(), option.PhaseAsRoot)
		said := log.Count(`running "exit 1" (as-root)...`) == 1
		skipped := log.Count("exec-as-root is skipped: this process was not started as root") == 1
		if errors.Is(err, ErrFailed) != root || said != root || skipped == root {
			t.Errorf("root %v: %v, %v", root, err, log)
		}
	}
}

// TestHooksAfterTheDrop: this process stays root, a hook as the user must not write as root.
func TestHooksAfterTheDrop(t *testing.T) {
	needs.Root(t)
	dir := t.TempDir() // root's, mode 0755 at most
	h := hooks(testlog.New(), option.Hook{Phase: option.PhaseAsUser, Action: "write",
		Arg: filepath.Join(dir, "f") + " x"},
		option.Hook{Phase: option.PhasePostApp, Action: "exec", Arg: `test "$(id -u)" = 4242`})
	h.Credential = &syscall.Credential{Uid: 4242, Gid: 4242}
	if err := h.Run(t.Context(), option.PhaseAsUser); !errors.Is(err, os.ErrPermission) {
		t.Error(err)
	}
	if err := h.Run(t.Context(), option.PhasePostApp); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "root"), nil, 0o600); err != nil {
		t.Error("root's rights did not come back:", err)
	}
}
