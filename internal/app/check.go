package app

import (
	"os"
	"syscall"

	"uwsgi/internal/config"
	"uwsgi/internal/doctor"
	"uwsgi/internal/loader"
	"uwsgi/internal/option"
	"uwsgi/internal/units"
)

// check is `uwsgi check`: it judges the lines, then looks at what they name on this machine.
func check(cfg *config.Config, environ []string, std Streams) int {
	if !cfg.Syntax {
		if err := examine(cfg, environ); err != nil {
			return complain(std.Err, err)
		}
	}
	return config.WriteCheck(std.Out, cfg, cfg.JSON)
}

// examine adds to the findings what would fail here.
func examine(cfg *config.Config, environ []string) error {
	s := units.AsUnit(cfg.Settings)
	start, err := os.Getwd()
	if err != nil {
		return err
	}
	lib, err := libDir()
	if err != nil {
		return err
	}
	env := environment(environ, s.Env)
	for _, f := range doctor.Examine(doctor.World{
		Settings: s, Start: start, Environ: env, LibDir: lib, Args: pythonArgs(s.Optimize, s.NoSite),
		Interpreter: func(dir string, cred *syscall.Credential) (string, error) {
			return interpreter(s, start, dir, env, cred, func(string) {})
		},
		Fits: func(python string, cred *syscall.Credential) error { return loader.Fits(python, lib, cred) },
	}) {
		e := &option.Error{File: f.Origin.File, Line: f.Origin.Line, Name: f.Option, Value: f.Value,
			Err: f.Err, Hint: f.Hint}
		cfg.Report(e, f.Gravity == doctor.Fatal, f.Gravity == doctor.Doubt)
	}
	return nil
}
