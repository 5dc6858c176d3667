// Package app is the composition root: the only place that reads arguments, environment and
// signals, and the only one that knows every other package.
package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"uwsgi/internal/config"
	"uwsgi/internal/control"
	"uwsgi/internal/keeper"
	"uwsgi/internal/manual"
	"uwsgi/internal/option"
	"uwsgi/internal/units"
)

// Version is set at link time.
var Version = "dev"

// Streams are the standard streams.
type Streams struct {
	In       *os.File
	Out, Err *os.File
}

// Exit statuses (cli-signals: 22 is what uWSGI gives when no application could be loaded).
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 1
)

// Run is the program: args with its own name first. It returns the exit status.
func Run(args, environ []string, std Streams) int {
	if units.IsGenerator(args[0]) {
		return units.Run(args[1:])
	}
	if keeper.IsKeeper(args[0]) {
		return keeper.Serve()
	}
	program()
	args = slices.Clone(args)
	for i := range args { // title.set overwrites what they lie in
		args[i] = strings.Clone(args[i])
	}
	host := config.OSHost()
	host.Version = Version
	rest := args[1:]
	if len(rest) > 1 && manual.IsCommand(rest[0]) && (slices.Contains(rest, "--help") || slices.Contains(rest, "-h")) {
		return helpCommand(rest[:1], std)
	}
	if len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		if run, ok := verbs[rest[0]]; ok {
			return run(rest[1:], std)
		}
	}
	if err := resumeEnvironment(args, environ); err != nil {
		return complain(std.Err, err)
	}
	hangups := keepHangups()
	cfg, err := config.Load(rest, environ, host)
	if err != nil && cfg.Serves() {
		return startFailed(std, cfg.Settings.Name, err)
	}
	if err != nil && cfg.Command != config.Check {
		return complain(std.Err, err)
	}
	for _, line := range cfg.Print {
		fmt.Fprintln(std.Out, line)
	}
	if !cfg.Serves() {
		signal.Stop(hangups)
		return command(cfg, environ, host, std)
	}
	return serve(cfg, args, environ, host, std, hangups)
}

// verbs are commands of ours that uWSGI has no option for. They need no configuration.
var verbs = map[string]func(args []string, std Streams) int{
	"reload": func(args []string, std Streams) int { return client(args, std, "reload", control.Reload) },
	"stop":   func(args []string, std Streams) int { return client(args, std, "stop", control.Stop) },
	"spool":  spoolCommand,
	"help":   helpCommand,
	"init":   initCommand,
}

func client(args []string, std Streams, name string, do func(pidfile string, out io.Writer) error) int {
	if len(args) != 1 {
		fmt.Fprintf(std.Err, "usage: uwsgi %s PID-or-PIDFILE\n", name)
		return exitUsage
	}
	return told(do(args[0], std.Err), std)
}

// told turns the outcome of a command to another process into an exit status: 255 where it could
// not be signalled, as uWSGI.
func told(err error, std Streams) int {
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(std.Err, err)
	var gone *control.SignalError
	if errors.As(err, &gone) {
		return 255
	}
	return exitError
}

// command does what is not serving.
func command(cfg *config.Config, environ []string, host config.Host, std Streams) int {
	first := func() string {
		if len(cfg.CommandArgs) > 0 {
			return cfg.CommandArgs[0]
		}
		return ""
	}
	switch cfg.Command {
	case config.Help:
		manual.Help(std.Out)
	case config.HelpAll:
		return helpAll(std)
	case config.Nothing:
		manual.Help(std.Out)
		return exitUsage
	case config.Version:
		fmt.Fprintln(std.Out, Version)
	case config.Check:
		return check(cfg, environ, std)
	case config.Completion:
		if err := manual.Completion(std.Out, first()); err != nil {
			return complain(std.Err, err)
		}
	case config.Man:
		manual.Man(std.Out, first())
	case config.DumpOptions:
		for _, row := range option.All() {
			fmt.Fprintln(std.Out, row.Name)
		}
	case config.Get:
		for _, key := range cfg.CommandArgs {
			if v, ok := cfg.Lookup(key); ok {
				fmt.Fprintln(std.Out, v)
			}
		}
	case config.ExtractSource:
		b, err := config.Extract(host, first())
		if err != nil {
			return complain(std.Err, err)
		}
		std.Out.Write(b)
	case config.Exit:
		n, _ := strconv.Atoi(first())
		return n
	case config.Stop:
		return told(control.Stop(first(), std.Err), std)
	case config.Reload:
		return told(control.Reload(first(), std.Err), std)
	case config.Pause:
		return told(control.Pause(first()), std)
	case config.ConnectAndRead:
		return told(control.ConnectAndRead(first(), std.Err), std)
	case config.List:
		return list(cfg.CommandArgs, std)
	case config.PythonVersion:
		return pythonVersion(cfg, environ, std)
	}
	return exitOK
}

// libDir finds loader.py and the worker library: beside the binary in a checkout, under the prefix
// when installed, and in an installer's cache whose files are linked to.
func libDir() (string, error) {
	var tried []string
	for _, name := range program() {
		bin := filepath.Dir(name)
		for _, dir := range []string{filepath.Join(bin, "lib", "uwsgi"),
			filepath.Join(filepath.Dir(bin), "lib", "uwsgi"),
			filepath.Join(filepath.Dir(bin), "data", "lib", "uwsgi")} {
			if hasLibrary(dir) {
				return dir, nil
			}
			if !slices.Contains(tried, dir) {
				tried = append(tried, dir)
			}
		}
	}
	return "", fmt.Errorf("the worker library, _uwsgi.abi3.so, is in none of %s: run `make build`, "+
		"or install the package again", strings.Join(tried, ", "))
}

// hasLibrary reports whether a worker library lies in dir, whatever Pythons it is for: there is one
// an ABI (uwsgi_unfit.py).
func hasLibrary(dir string) bool {
	files, err := os.ReadDir(dir)
	return err == nil && slices.ContainsFunc(files, func(f os.DirEntry) bool {
		return strings.HasPrefix(f.Name(), "_uwsgi.") && strings.HasSuffix(f.Name(), ".so")
	})
}
