package app

import (
	"fmt"
	"log/slog"
	"os"

	"uwsgi/internal/option"
)

type serverLog struct{ w *os.File }

func newServerLog(s *option.Settings, std Streams) (*serverLog, error) { return &serverLog{std.Err}, nil }

func (l *serverLog) say(text string) { fmt.Fprintln(l.w, text) }

func (l *serverLog) event(level slog.Level, event, text string, attrs ...slog.Attr) { l.say(text) }

func (l *serverLog) workerStderr(slot int) (*os.File, error) { return nil, nil }

func (l *serverLog) requestLog() (*os.File, string) { return l.w, "stream" }

func (l *serverLog) close() {}
