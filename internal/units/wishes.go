package units

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"uwsgi/internal/config"
	"uwsgi/internal/option"
)

// Wishes are what a configuration asks of its unit that gives no power over anybody else: neither
// accounts, sockets nor root's work. The emperor, where it runs instances as their files' owners,
// has the owner read his file and takes these from him (emperor-tyrant).
type Wishes struct {
	Chdir string `json:"chdir"` // absolute, or ""
	Umask int    `json:"umask"` // -1: the unit's own
	Nice  int    `json:"nice"`
	// ns: how long a stop may take, shutdown-delay and what the workers have to finish
	Mercy    time.Duration `json:"mercy"`
	Writable []string      `json:"writable"` // folders that are to stay writable, absolute
	OpenTmp  bool          `json:"open_tmp"` // files in /tmp are there for others to see
}

// wishes are those of the instance's settings.
func (i Instance) wishes() Wishes {
	if i.Wishes != nil {
		return *i.Wishes
	}
	s := i.Settings
	w := Wishes{Umask: s.Umask, Nice: max(-20, min(s.Prio, 19)), Mercy: s.ShutdownDelay + i.Settings.LastMercy(),
		Writable: i.writable()}
	if path.IsAbs(s.Chdir) {
		w.Chdir = s.Chdir
	}
	if slices.ContainsFunc(i.paths(), temporary) {
		w.OpenTmp = true
		w.Writable = append(w.Writable, "/tmp", "/var/tmp")
	}
	return w
}

// Limits of what an owner may wish for.
const (
	wishesSize  = 64 << 10 // bytes of JSON
	maxWritable = 64
	maxMercy    = 30 * time.Minute // the emperor waits for a stop
)

// ReadWishes reads what wish wrote, without trusting whoever wrote it: what he could not do himself
// is an error, or left out.
func ReadWishes(r io.Reader) (*Wishes, error) {
	text, err := io.ReadAll(io.LimitReader(r, wishesSize+1))
	if err != nil {
		return nil, err
	}
	if len(text) > wishesSize {
		return nil, fmt.Errorf("it asks for more than %d KiB can say", wishesSize>>10)
	}
	w := &Wishes{}
	if err := json.Unmarshal(text, w); err != nil {
		return nil, fmt.Errorf("what it asks of its unit: %w", err)
	}
	if len(w.Writable) > maxWritable {
		return nil, fmt.Errorf("it names files in more than %d folders", maxWritable)
	}
	for _, p := range append(slices.Clone(w.Writable), w.Chdir) {
		if p != "" && (!path.IsAbs(p) || len(p) > 4095 || oneLine(p) != p) {
			return nil, fmt.Errorf("%.80q is no folder", p)
		}
	}
	if w.Umask < -1 || w.Umask > 0o777 {
		return nil, fmt.Errorf("%#o is no umask", w.Umask)
	}
	w.Nice = max(0, min(w.Nice, 19))
	w.Mercy = max(0, min(w.Mercy, maxMercy))
	return w, nil
}

// wish reads a configuration as who this process is, and writes its wishes: uwsgi-generator
// --wishes DIR ARGUMENT … Nothing of the configuration is executed here (exec:// and the like): the
// wishes of one that asks for it are those of an empty one.
func wish(h Host, dir string, args []string, stdout, stderr io.Writer) int {
	h.Config.Getwd = func() (string, error) { return dir, nil }
	c, err := config.Load(args, os.Environ(), h.Config)
	if err != nil && !errors.Is(err, errEarly) {
		fmt.Fprintln(stderr, strings.TrimSpace(err.Error()))
		return 1
	}
	if err := json.NewEncoder(stdout).Encode(Instance{Settings: c.Settings}.wishes()); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// write writes the part of the service's drop-in that wishes make.
func (w Wishes) write(u *unitFile, dir string) {
	if w.Chdir != "" {
		u.set("WorkingDirectory", "-"+w.Chdir)
	} else if dir != "" {
		u.set("WorkingDirectory", "-"+dir)
	}
	if w.Umask >= 0 {
		u.set("UMask", fmt.Sprintf("0%o", w.Umask))
	}
	if w.Nice != 0 {
		u.set("Nice", fmt.Sprint(w.Nice))
	}
	u.set("TimeoutStopSec", seconds(w.Mercy+option.StopMargin))
	if w.OpenTmp {
		// A file in /tmp that the configuration names is there for others to see.
		u.set("PrivateTmp", "no")
	}
	if len(w.Writable) > 0 {
		var paths []string
		for _, p := range w.Writable {
			paths = append(paths, "-"+p)
		}
		u.words("ReadWritePaths", paths...)
	}
}
