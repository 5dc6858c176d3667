package app

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"uwsgi/internal/manual"
)

// helpCommand is `uwsgi help [OPTION | COMMAND]`.
func helpCommand(args []string, std Streams) int {
	if len(args) == 0 {
		manual.Help(std.Out)
		return exitOK
	}
	for i, name := range args {
		if i > 0 {
			fmt.Fprintln(std.Out)
		}
		if err := manual.Topic(std.Out, name); err != nil {
			return complain(std.Err, err)
		}
	}
	return exitOK
}

// helpAll shows every option: on a terminal through the pager, as man and git find it.
func helpAll(std Streams) int {
	var text bytes.Buffer
	manual.HelpAll(&text)
	if pager := pager(os.LookupEnv); terminal(std.Out) && pager != "" {
		cmd := exec.Command("/bin/sh", "-c", pager)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text.Bytes()), std.Out, std.Err
		if cmd.Run() == nil {
			return exitOK
		}
	}
	std.Out.Write(text.Bytes())
	return exitOK
}

// pager is a shell command, "" for none: $PAGER, else less where it is installed.
func pager(lookup func(string) (string, bool)) string {
	if named, set := lookup("PAGER"); set {
		return strings.TrimSpace(named)
	}
	if _, err := exec.LookPath("less"); err != nil {
		return ""
	}
	return "less -FRX"
}
