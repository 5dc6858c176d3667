// Package spool is what people see of a spooler's folder: which jobs wait, run or have failed, and
// what can be done with them. The application's side, which puts and runs jobs, is
// internal/python/uwsgi_spool.py; what stands in the folder is described there.
//
// The folder may be another user's, and the caller root: no name in it leads out of it (os.Root),
// and what is read in it is that user's words.
package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/escape"
)

const (
	prefix    = "uwsgi_spoolfile_on_"
	attempts  = ".attempts"
	traceback = ".traceback"
	failed    = "failed"
	largest   = 1 << 20 // bytes that are read of a record or traceback
	shown     = 1 << 24 // bytes that are read of a job
	deepest   = 8       // folders of priorities in one another
)

// State is where a job stands.
type State string

// The states of a job.
const (
	Waiting State = "waiting" // it may run
	Later   State = "later"   // not before Due
	Running State = "running" // a process has it in hand
	Failed  State = "failed"  // given up
	Torn    State = "torn"    // no whole job, or one that is still being written
	Closed  State = "closed"  // somebody else's, which this user cannot read
)

// Job is one job of a folder.
type Job struct {
	Name     string    `json:"name"` // relative to the folder, and unique in it
	State    State     `json:"state"`
	Size     int64     `json:"size"` // of its file, bytes
	Put      time.Time `json:"put,omitzero"`
	Due      time.Time `json:"due,omitzero"` // only of one that is later
	Attempts int       `json:"attempts"`     // begun so far; of one that failed they are in Why
	Why      string    `json:"why,omitempty"`
	// What the application wrote, filled by Show. Variables are pairs in their order, of Body it is
	// the first 16 MiB.
	Variables [][2]string `json:"variables,omitempty"`
	Body      []byte      `json:"body,omitempty"`
}

// Folder is a spooler's folder. Close it after use.
type Folder struct{ root *os.Root }

// Open opens a spooler's folder.
func Open(dir string) (*Folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Folder{root}, nil
}

// Close closes it.
func (f *Folder) Close() error { return f.root.Close() }

// List returns all jobs, those that failed last; each part is in the order that jobs are run in.
func (f *Folder) List() ([]Job, error) {
	names, err := f.names(".", 0)
	if err != nil {
		return nil, err
	}
	var jobs []Job
	for _, name := range names {
		job, file, err := f.look(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // done by now
		case errors.Is(err, fs.ErrPermission):
			jobs = append(jobs, Job{Name: name, State: Closed, Put: putAt(name)})
			continue
		case err != nil:
			return nil, err
		}
		file.Close()
		jobs = append(jobs, *job)
	}
	slices.SortStableFunc(jobs, func(a, b Job) int {
		if (a.State == Failed) != (b.State == Failed) {
			return map[bool]int{true: 1, false: -1}[a.State == Failed]
		}
		return 0
	})
	return jobs, nil
}

// Find completes a name: the whole of it, or its last part, or how that ends, where only one job
// has it.
func (f *Folder) Find(name string) (string, error) {
	names, err := f.names(".", 0)
	if err != nil {
		return "", err
	}
	if slices.Contains(names, path.Clean(name)) {
		return path.Clean(name), nil
	}
	var fits []string
	for _, n := range names {
		if name != "" && (strings.HasSuffix(n, name) || strings.HasSuffix(escape.String(n), name)) {
			fits = append(fits, n)
		}
	}
	switch len(fits) {
	case 0:
		return "", fmt.Errorf("there is no job %s", name)
	case 1:
		return fits[0], nil
	}
	return "", fmt.Errorf("%d jobs end with %s", len(fits), name)
}

// Show returns a job with what it says.
func (f *Folder) Show(name string) (*Job, error) {
	job, file, err := f.look(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, shown))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if job.Variables, job.Body, err = parse(data); err != nil {
		job.Why = strings.TrimSpace(err.Error() + "\n" + job.Why)
	}
	return job, nil
}

// Retry has a job run at once, one that failed too: its attempts are counted anew.
func (f *Folder) Retry(name string) error {
	file, err := f.take(name)
	if err != nil {
		return err
	}
	defer file.Close()
	now := unix.NsecToTimeval(time.Now().UnixNano())
	if err := unix.Futimes(int(file.Fd()), []unix.Timeval{now, now}); err != nil {
		return fmt.Errorf("set the time of %s: %w", name, err)
	}
	f.forget(name)
	if dir := path.Dir(name); path.Base(dir) == failed {
		if err := f.root.Rename(name, path.Join(path.Dir(dir), path.Base(name))); err != nil {
			return err
		}
		f.root.Remove(name + traceback)
	}
	return nil
}

// Drop removes a job that does not run.
func (f *Folder) Drop(name string) error {
	file, err := f.take(name)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := f.root.Remove(name); err != nil {
		return err
	}
	f.forget(name)
	return nil
}

// forget removes what is kept beside a job.
func (f *Folder) forget(name string) {
	f.root.Remove(recordOf(name))
	if path.Base(path.Dir(name)) == failed {
		f.root.Remove(name + traceback)
	}
}

// take opens a job and locks it, as a process that runs it does.
func (f *Folder) take(name string) (*os.File, error) {
	file, err := f.root.OpenFile(name, os.O_RDWR|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	how := unix.F_OFD_SETLK
	if path.Base(path.Dir(name)) == failed {
		how = unix.F_OFD_SETLKW // whoever gave it up is about to let go of it
	}
	if err := unix.FcntlFlock(file.Fd(), how, &lock); err != nil {
		file.Close()
		return nil, fmt.Errorf("%s runs now", name)
	}
	open, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, err
	}
	if named, err := f.root.Lstat(name); err != nil || !os.SameFile(open, named) {
		file.Close()
		return nil, fmt.Errorf("%s is done by now", name)
	}
	return file, nil
}

// look reads what the folder says of a job, all but what stands in its file.
func (f *Folder) look(name string) (*Job, *os.File, error) {
	st, err := f.root.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is no regular file", name)
	}
	file, err := f.root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, nil, err
	}
	job := &Job{Name: name, State: Waiting, Size: st.Size(), Put: putAt(name)}
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	err = unix.FcntlFlock(file.Fd(), unix.F_OFD_GETLK, &lock)
	switch {
	case path.Base(path.Dir(name)) == failed:
		job.State, job.Why = Failed, string(f.read(name+traceback))
		return job, file, nil
	case err == nil && lock.Type != unix.F_UNLCK:
		job.State = Running
	case !whole(file, st.Size()):
		job.State = Torn
	case st.ModTime().After(time.Now()):
		job.State, job.Due = Later, st.ModTime()
	}
	var record struct {
		Attempts int
		Why      string
	}
	if json.Unmarshal(f.record(name), &record) == nil {
		job.Attempts, job.Why = record.Attempts, record.Why
	}
	return job, file, nil
}

// record is what is kept beside a job, in a file or, from a full disk, in a link's target.
func (f *Folder) record(name string) []byte {
	if link, err := f.root.Readlink(recordOf(name)); err == nil {
		return []byte(link)
	}
	return f.read(recordOf(name))
}

func recordOf(name string) string {
	return path.Join(path.Dir(name), "."+path.Base(name)+attempts)
}

// read returns the beginning of a file that may not be there.
func (f *Folder) read(name string) []byte {
	file, err := f.root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, largest))
	if err != nil {
		return nil
	}
	return data
}

// names lists the files of jobs in dir, its folders of priorities and what failed there.
func (f *Folder) names(dir string, depth int) ([]string, error) {
	open, err := f.root.Open(dir)
	if err != nil {
		return nil, err
	}
	entries, err := open.ReadDir(-1)
	open.Close()
	if err != nil {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return byNumber(a.Name(), b.Name()) })
	var all []string
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), prefix) && !strings.HasSuffix(e.Name(), traceback) && e.Type().IsRegular():
			all = append(all, name)
		case e.IsDir() && depth < deepest && (isNumber(e.Name()) || e.Name() == failed):
			below, err := f.names(name, depth+1)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			all = append(all, below...)
		}
	}
	return all, nil
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// putAt is when a job was put, which its name says: …_SECONDS_MICROSECONDS.
func putAt(name string) time.Time {
	parts := strings.Split(name, "_")
	if len(parts) < 2 {
		return time.Time{}
	}
	seconds, err := strconv.ParseInt(parts[len(parts)-2], 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}
