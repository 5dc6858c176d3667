package app

import "fmt"

func list(std Streams) int {
	fmt.Fprintln(std.Err, "uwsgi: list needs systemd")
	return exitError
}
