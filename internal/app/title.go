package app

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"uwsgi/internal/option"
)

// masterTitle is the title that the procname options ask for, "" when they ask for none.
func masterTitle(s *option.Settings) string {
	if !s.ProcnameAuto {
		return ""
	}
	name := "uWSGI master"
	for _, given := range []string{s.Procname, s.ProcnameMaster} {
		if given != "" {
			name = given
		}
	}
	return s.ProcnamePrefix + name + s.ProcnameAppend
}

// title is the one that ps shows of this process.
type title struct {
	mem *os.File // held open, nil = opened when it is needed
}

// hold opens what set needs, for a process that is going to give up the rights to.
func (t *title) hold() (err error) {
	if t.mem == nil {
		t.mem, err = os.OpenFile("/proc/self/mem", os.O_WRONLY, 0)
	}
	return err
}

// set overwrites the arguments that ps shows (proc(5)): args, which Run works with, are copies. A
// longer text goes on into the environment behind them, of which the runtime has copies, too; the
// kernel shows that when the last byte of the arguments is no NUL.
func (t *title) set(text string) error {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return fmt.Errorf("process title: %w", err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:])) // the first is number 3
	if len(fields) < 49 {
		return errors.New("process title: /proc/self/stat has too few fields")
	}
	var at [4]int64 // arg_start, arg_end, env_start, env_end
	for i := range at {
		if at[i], err = strconv.ParseInt(fields[45+i], 10, 64); err != nil {
			return fmt.Errorf("process title: %w", err)
		}
	}
	arguments, room := at[1]-at[0], at[1]-at[0]
	if int64(len(text)) >= room && at[2] == at[1] && at[3] > at[2] {
		room = at[3] - at[0]
	}
	if room < 2 {
		return errors.New("process title: there are no arguments to overwrite")
	}
	area := make([]byte, room)
	n := copy(area[:room-1], text)
	// exactly as long: without one more byte the kernel would not see the end
	if n == int(arguments) && n < len(area)-1 {
		area[n] = ' '
	}
	if err := t.hold(); err != nil {
		return fmt.Errorf("process title: %w", err)
	}
	if _, err := t.mem.WriteAt(area, at[0]); err != nil {
		return fmt.Errorf("process title: %w", err)
	}
	return nil
}
