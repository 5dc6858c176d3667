// Package area makes the memory that an instance's processes share, in anonymous files or files of
// the user's, and keeps it over reloads. What works on it is C in the application's processes
// (cmd/uwsgi-shared); the supervisor only looks.
package area

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"uwsgi/internal/privilege"
	"uwsgi/internal/sys"
)

// Base is the size of struct area of cmd/uwsgi-shared/area.h, behind which a kind's own begins.
const Base = 256

// Offsets in struct area.
const (
	magicAt = 0
	ownerAt = 8
)

// Spec is an area that a configuration asks for.
type Spec struct {
	Kind, Name string
	Magic      uint64 // the kind and its layout
	Geometry   []byte // written at Base; an area of another one is another area
	Size       int64
	Store      string        // a file that holds the content; "" = anonymous memory
	Sync       time.Duration // how often it is written to the disk; 0 = when the kernel does
	// Content is what a new one has at ContentAt; nil = zeros.
	Content   []byte
	ContentAt int64
	// Wrong tells of an error by the option that asks for it.
	Wrong func(error) error
}

func (s *Spec) same(other *Spec) bool {
	return s.Kind == other.Kind && s.Name == other.Name && s.Magic == other.Magic && s.Size == other.Size &&
		s.Store == other.Store && bytes.Equal(s.Geometry, other.Geometry)
}

// Area is one that exists.
type Area struct {
	Spec
	File *os.File
	// Renewed says why what stood in the store before is gone; "" = it is not.
	Renewed string
	fresh   bool // it has no content yet
	stop    chan struct{}
}

// ReadAt reads of the area, for statistics: somebody may be writing.
func (a *Area) ReadAt(p []byte, at int64) (int, error) { return a.File.ReadAt(p, at) }

// Keeper holds the areas of all generations.
type Keeper struct {
	areas []*Area
	owner uint64
}

// Open gives an area for each of specs: the one that there is, or a new one. After an error none
// that was made for them is left.
func (k *Keeper) Open(specs []Spec) ([]*Area, error) {
	var out, made []*Area
	for i := range specs {
		a := k.find(&specs[i])
		if a == nil {
			var err error
			if a, err = k.make(specs[i]); err != nil {
				k.Keep(func(a *Area) bool { return !contains(made, a) })
				if wrong := specs[i].Wrong; wrong != nil {
					return nil, wrong(err)
				}
				return nil, fmt.Errorf("%s %s: %w", specs[i].Kind, specs[i].Name, err)
			}
			k.areas, made = append(k.areas, a), append(made, a)
		}
		out = append(out, a)
	}
	return out, nil
}

// Newest is the area of that name that was made last, nil = there is none.
func (k *Keeper) Newest(kind, name string) *Area {
	for i := len(k.areas) - 1; i >= 0; i-- {
		if a := k.areas[i]; a.Kind == kind && a.Name == name {
			return a
		}
	}
	return nil
}

// Keep closes those that are not wanted any more.
func (k *Keeper) Keep(wanted func(*Area) bool) {
	kept := k.areas[:0]
	for _, a := range k.areas {
		if wanted(a) {
			kept = append(kept, a)
			continue
		}
		a.close()
	}
	clear(k.areas[len(kept):])
	k.areas = kept
}

// Close closes all; what has a store is written to it.
func (k *Keeper) Close() { k.Keep(func(*Area) bool { return false }) }

func contains(areas []*Area, a *Area) bool {
	for _, b := range areas {
		if a == b {
			return true
		}
	}
	return false
}

// find looks for the newest one: an older one may belong to a generation that is leaving.
func (k *Keeper) find(s *Spec) *Area {
	if a := k.Newest(s.Kind, s.Name); a != nil && a.same(s) {
		return a
	}
	return nil
}

func (k *Keeper) make(s Spec) (*Area, error) {
	if k.owner == 0 {
		var random [8]byte
		rand.Read(random[:])
		k.owner = binary.NativeEndian.Uint64(random[:]) | 1
	}
	a := &Area{Spec: s}
	if s.Store == "" {
		fd, err := sys.Memfd("uwsgi-"+s.Kind+"-"+s.Name, s.Size)
		if err != nil {
			return nil, err
		}
		a.File = os.NewFile(uintptr(fd), s.Name)
		a.fresh = true
	} else if err := a.openStore(); err != nil {
		return nil, err
	}
	if err := a.sign(k.owner); err != nil {
		a.File.Close()
		return nil, err
	}
	if s.Store != "" && s.Sync > 0 {
		a.stop = make(chan struct{})
		go a.sync()
	}
	return a, nil
}

// sign writes what a process finds before it maps the area: the magic last, for a file without it
// is no area.
func (a *Area) sign(owner uint64) error {
	var word [8]byte
	if _, err := a.File.WriteAt(a.Geometry, Base); err != nil {
		return err
	}
	if a.fresh && a.Content != nil {
		if _, err := a.File.WriteAt(a.Content, a.ContentAt); err != nil {
			return err
		}
	}
	binary.NativeEndian.PutUint64(word[:], owner)
	if _, err := a.File.WriteAt(word[:], ownerAt); err != nil {
		return err
	}
	binary.NativeEndian.PutUint64(word[:], a.Magic)
	_, err := a.File.WriteAt(word[:], magicAt)
	return err
}

// openStore opens the file, or puts a new one in the place of what is no area of this geometry: an
// old one may still be mapped, and to cut it short would kill who reads it.
func (a *Area) openStore() error {
	for try := 0; ; try++ {
		f, err := privilege.OpenFile(a.Store, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return err
		}
		why, err := a.fits(f)
		if err == nil && why != "" && why != fresh && try == 0 {
			a.Renewed = why
			f.Close()
			if err := remove(a.Store); err != nil {
				return fmt.Errorf("replace %s, which is %s: %w", a.Store, why, err)
			}
			continue
		}
		if err == nil {
			err = lock(f)
		}
		if err == nil && why != "" {
			err = reserve(f, a.Size)
		}
		if err != nil {
			f.Close()
			return fmt.Errorf("store %s: %w", a.Store, err)
		}
		a.File, a.fresh = f, why != ""
		return nil
	}
}

const fresh = "empty"

// fits says why f cannot be gone on with.
func (a *Area) fits(f *os.File) (string, error) {
	st, err := f.Stat()
	switch {
	case err != nil:
		return "", err
	case st.Size() == 0:
		return fresh, nil
	case st.Size() != a.Size:
		return "of another size", nil
	}
	head := make([]byte, Base+len(a.Geometry))
	if _, err := f.ReadAt(head, 0); err != nil {
		return "", err
	}
	if binary.NativeEndian.Uint64(head[magicAt:]) != a.Magic || !bytes.Equal(head[Base:], a.Geometry) {
		return "of other sizes", nil
	}
	return "", nil
}

// lock keeps other instances away, as long as the file is open.
func lock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errors.New("another instance has it")
	}
	return err
}

// reserve gives the file its size and its place on the disk: a disk that is full would kill who
// writes into the mapping.
func reserve(f *os.File, size int64) error {
	err := unix.Fallocate(int(f.Fd()), 0, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) {
		err = f.Truncate(size)
	}
	if err != nil {
		f.Truncate(0)
		return fmt.Errorf("%d bytes: %w", size, err)
	}
	return nil
}

func remove(path string) error {
	if os.Geteuid() != 0 {
		return os.Remove(path)
	}
	d, err := privilege.OpenAt(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Unlink()
}

func (a *Area) sync() {
	tick := time.NewTicker(a.Sync)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			unix.Fdatasync(int(a.File.Fd()))
		case <-a.stop:
			return
		}
	}
}

func (a *Area) close() {
	if a.stop != nil {
		close(a.stop)
	}
	if a.Store != "" {
		unix.Fdatasync(int(a.File.Fd()))
	}
	a.File.Close()
}
