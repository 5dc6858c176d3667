package option

import (
	"errors"
	"fmt"
	"strings"
)

// Error is a fault in one line of a configuration: what is wrong, where, and what to write instead.
type Error struct {
	File  string // "" = the command line or the environment
	Line  int    // 0 = unknown
	Name  string // the option as written, "" when the line has none
	Value string
	Err   error  // what is wrong
	Hint  string // what to do about it, "" = nothing to say
	// Warn marks a fault that start-up survives: the setting got a sound value (what uWSGI would
	// have taken, or the default).
	Warn bool
	// NotOffered marks a value that asks for what this server does not offer, of an option that it
	// otherwise knows.
	NotOffered bool
}

// Error returns FILE:LINE: NAME = VALUE: what is wrong (what to do); it is Public.
func (e *Error) Error() string {
	var b strings.Builder
	if at := e.At(); at != "" {
		b.WriteString(at + ": ")
	}
	if e.Name != "" {
		b.WriteString(e.Name)
		if e.Value != "" {
			b.WriteString(" = " + Public(e.Value))
		}
		b.WriteString(": ")
	}
	if e.Err != nil {
		b.WriteString(Public(e.Err.Error()))
	}
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// At returns FILE:LINE, FILE when the line is unknown, "" for the command line.
func (e *Error) At() string {
	if e.File == "" || e.Line == 0 {
		return e.File
	}
	return fmt.Sprintf("%s:%d", e.File, e.Line)
}

// Wrong is an Error of the option called name, whose place package config knows (Config.Locate).
func Wrong(name, value string, err error) error {
	return &Error{Name: name, Value: value, Err: err}
}

// fault is an Error the loader of the configuration completes with the place.
func fault(hint, format string, args ...any) error {
	return &Error{Err: fmt.Errorf(format, args...), Hint: hint}
}

// warning is a fault that leaves a sound setting behind.
func warning(hint, format string, args ...any) error {
	return &Error{Err: fmt.Errorf(format, args...), Hint: hint, Warn: true}
}

// notOffered is a warning about a value that asks for what there is not.
func notOffered(hint, format string, args ...any) error {
	return &Error{Err: fmt.Errorf(format, args...), Hint: hint, Warn: true, NotOffered: true}
}

// survivable reports that err is nil or only a warning: the caller may store what it parsed.
func survivable(err error) bool {
	var e *Error
	return err == nil || errors.As(err, &e) && e.Warn
}
