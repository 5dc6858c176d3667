package logging

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"uwsgi/internal/accesslog"
	"uwsgi/internal/option"
)

// fdSink writes to a descriptor that somebody else opened.
type fdSink struct {
	f   *os.File
	buf []byte
	cut bool // the last line that was written lacks its end: the disk was full
}

func (s *fdSink) write(_ *record, line []byte) error {
	if s.cut && len(s.buf) == 0 {
		s.buf = append(s.buf, '\n')
	}
	s.buf = append(s.buf, line...)
	if len(s.buf) < 32<<10 {
		return nil
	}
	return s.flush()
}

func (s *fdSink) flush() error {
	if len(s.buf) == 0 {
		return nil
	}
	n, err := s.f.Write(s.buf)
	if n > 0 {
		s.cut = s.buf[n-1] != '\n'
	}
	s.buf = s.buf[:0]
	return err
}

func (s *fdSink) close() error { return nil }

// fileSink appends to a file that it opened, and puts it aside when it grows too large.
type fileSink struct {
	fdSink
	path    string
	mode    os.FileMode
	owner   *Owner
	files   Files
	max     int64 // 0 = no limit
	backup  string
	size    int64
	rotated int64                // epoch second of the last time it was put aside for its size
	moved   func(*os.File) error // the file was opened anew
	now     func() time.Time
}

func (s *fileSink) open(truncate bool) error {
	f, err := s.files.Open(s.path, truncate, s.mode, s.owner)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	if s.f != nil {
		s.f.Close()
	}
	s.f, s.size, s.cut = f, st.Size(), false
	if s.moved != nil {
		return s.moved(f)
	}
	return nil
}

func (s *fileSink) write(r *record, line []byte) error {
	s.size += int64(len(line))
	err := s.fdSink.write(r, line)
	// Once a second at most, as uWSGI looks: a name has a second in it, and log-backupname keeps
	// one file.
	if now := s.now().Unix(); s.max > 0 && s.size > s.max && now != s.rotated {
		s.rotated = now
		err = errors.Join(err, s.rotate())
	}
	return err
}

func (s *fileSink) close() error { return errors.Join(s.flush(), s.f.Close()) }

// rotate puts the file aside: log-backupname, else FILE.UNIXTIME, and begins a new one.
func (s *fileSink) rotate() error {
	if err := s.flush(); err != nil {
		return err
	}
	name := s.backup
	if name == "" {
		name = unusedName(s.path + "." + strconv.FormatInt(s.now().Unix(), 10))
	}
	line := accesslog.Strftime(nil, option.DefaultLogDate, s.now())
	line = fmt.Appendf(line, " - logsize: %d, triggering rotation to %s...\n", s.size, name)
	if _, err := s.f.Write(line); err != nil {
		return err
	}
	if err := s.files.Rotate(s.path, name); err != nil {
		s.size = 0 // once a file's worth, not once a line
		return fmt.Errorf("unable to rotate log: %w", err)
	}
	return s.open(false)
}

// unusedName is name, or what comes of it with a number behind where there is such a file already.
func unusedName(name string) string {
	for n, free := 1, name; ; n++ {
		if _, err := os.Lstat(free); err != nil {
			return free
		}
		free = name + "." + strconv.Itoa(n)
	}
}

// reopen opens the path anew, after somebody else moved the file.
func (s *fileSink) reopen() error {
	if err := s.flush(); err != nil {
		return err
	}
	fmt.Fprintf(s.f, "[%d] logsize: %d, triggering log-reopen...\n", s.now().Unix(), s.size)
	if err := s.open(false); err != nil {
		return err
	}
	_, err := io.WriteString(s.f, fmt.Sprintf("[%d] %s reopened.\n", s.now().Unix(), s.path))
	return err
}
