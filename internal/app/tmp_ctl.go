package app

import "io"

type ctlT struct {
	Reload, Stop   func(string, io.Writer) error
	Pause          func(string) error
	ConnectAndRead func(string, io.Writer) error
}

var ctl ctlT

type signalError struct{}

func (*signalError) Error() string { return "" }
