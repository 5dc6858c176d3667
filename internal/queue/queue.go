// Package queue is the supervisor's side of the queue: how it is laid out. What works in it is
// cmd/uwsgi-shared/queue.c.
package queue

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"

	"golang.org/x/sys/unix"

	"uwsgi/internal/area"
	"uwsgi/internal/option"
	"uwsgi/internal/privilege"
)

// Kind is what its area is called.
const Kind = "queue"

// The layout of cmd/uwsgi-shared/queue.h.
const (
	magic    = 0x3145554551575555
	head     = 512
	foreign  = 16 // of uWSGI's own file: where it fills and where it empties
	slotHead = 16
)

// most is how large it may be.
const most = 1 << 40

// Specs is the area of the queue that the settings ask for, if they do.
func Specs(s *option.Settings) ([]area.Spec, error) {
	if s.Queue == 0 {
		return nil, nil
	}
	block := (s.QueueBlockSize + 7) &^ 7
	if block == 0 {
		block = 8192
	}
	if block <= slotHead {
		return nil, option.Wrong("queue-blocksize", strconv.FormatInt(block, 10),
			fmt.Errorf("it leaves no room for a message: the head takes %d bytes", slotHead))
	}
	if s.Queue > most/block {
		return nil, option.Wrong("queue", strconv.FormatInt(s.Queue, 10),
			fmt.Errorf("so many messages of %d bytes each are too large", block))
	}
	size := head + s.Queue*block
	var geometry []byte
	for _, word := range []int64{s.Queue, block, size} {
		geometry = binary.NativeEndian.AppendUint64(geometry, uint64(word))
	}
	spec := area.Spec{Kind: Kind, Name: Kind, Magic: magic, Geometry: geometry, Size: size, Store: s.QueueStore,
		Sync: s.QueueStoreSync, Wrong: func(err error) error {
			if s.QueueStore != "" {
				return option.Wrong("queue-store", s.QueueStore, err)
			}
			return option.Wrong("queue", strconv.FormatInt(s.Queue, 10), err)
		}}
	if content := stored(s.QueueStore, foreign+s.Queue*block); content != nil {
		spec.Content, spec.ContentAt = content, head-foreign
	}
	return []area.Spec{spec}, nil
}

// stored is the content of a file of uWSGI's own, which has nothing but it; nil where there is none
// of that size.
func stored(path string, size int64) []byte {
	if path == "" {
		return nil
	}
	f, err := privilege.OpenFile(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() || st.Size() != size {
		return nil
	}
	content := make([]byte, size)
	if _, err := io.ReadFull(f, content); err != nil {
		return nil
	}
	return content
}
