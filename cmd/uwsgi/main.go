// Command uwsgi serves Python applications: see README.md.
package main

import (
	"os"

	"uwsgi/internal/app"
)

func main() {
	os.Exit(app.Run(os.Args, os.Environ(), app.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
