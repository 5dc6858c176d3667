package option

import (
	"math"
	"os"
	"strconv"
	"strings"
	"time"
)

const groupMemory Group = "Shared memory"

// MemorySettings is what these rows say about queue and shared areas.
type MemorySettings struct {
	Queue          int64 // messages that it holds; 0 = there is none
	QueueBlockSize int64 // bytes of a message and its head, which takes 16
	QueueStore     string
	QueueStoreSync time.Duration // how often the store is written to the disk; 0 = when the kernel does
	SharedArea     []SharedArea
	PySharedArea   []SharedArea // of py-sharedarea, numbered after the others
}

// SharedArea is memory of uwsgi.sharedarea_*.
type SharedArea struct {
	Size int64  // bytes
	File string // that they are in, from its beginning; "" = none

	Option, Text string // who asked for it
	Origin       Origin
}

// SharedAreas are all, by number.
func (s *MemorySettings) SharedAreas() []SharedArea {
	return append(append([]SharedArea(nil), s.SharedArea...), s.PySharedArea...)
}

var memoryRows = []Row{
	{Name: "queue", Kind: Int, Example: "100", Group: groupMemory,
		Set:  integer(func(s *Settings) *int64 { return &s.Queue }),
		Help: "a queue of N messages, for uwsgi.queue_push"},
	{Name: "queue-blocksize", Unset: "8192", Kind: Bytes, Group: groupMemory,
		Set:  sizeBytes(func(s *Settings) *int64 { return &s.QueueBlockSize }),
		Help: "its largest message, and 16 bytes more (8192)"},
	{Name: "queue-store", Kind: Path, Group: groupMemory, Set: text(func(s *Settings) *string { return &s.QueueStore }),
		Help: "a file that keeps it over restarts"},
	{Name: "queue-store-sync", Unset: "0", Kind: Seconds, Group: groupMemory,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.QueueStoreSync }),
		Help: "how often that is written to the disk (0: when the kernel does)"},
	{Name: "sharedarea", Short: 'A', Kind: Text, Example: "10", Repeat: true, Group: groupMemory, Set: sharedArea,
		Help: "memory for uwsgi.sharedarea_read: N pages, or size=BYTES, pages=N, file=PATH,size=BYTES"},
	{Name: "py-sharedarea", Kind: Bytes, Example: "4096", Repeat: true, Group: groupMemory, Set: pySharedArea,
		Help: "the same, of so many bytes; uwsgi.sharedarea_object gives it"},
}

func sharedArea(s *Settings, v Value) error {
	a, hint := SharedArea{Option: v.Name, Text: v.Text, Origin: v.Origin}, error(nil)
	pairs := []keyval{{"pages", v.Text}}
	if strings.Contains(v.Text, "=") {
		pairs = keyvals(v.Text, []string{"pages", "size", "file", "fd", "ptr", "offset"})
	}
	page := int64(os.Getpagesize())
	for _, pair := range pairs {
		n, err := strconv.ParseInt(strings.TrimSpace(pair.value), 0, 64)
		bad := err != nil || n < 0 || n > math.MaxInt64/page-1
		switch pair.key {
		case "file":
			a.File = pair.value
		case "size", "pages":
			if bad {
				return fault("write sharedarea = PAGES, or sharedarea = size=BYTES",
					"%s=%s is no number", pair.key, pair.value)
			}
			if pair.key == "pages" {
				n *= page
			}
			a.Size = (n + page - 1) / page * page
		case "fd":
			return fault("write file=PATH", "fd=%s: the application has no descriptor of another program's", pair.value)
		default:
			hint = warning("take it out", "%q is no key of sharedarea", pair.key)
		}
	}
	if a.Size == 0 && strings.Contains(v.Text, "=") {
		return fault("write size=BYTES", "sharedarea = %s has no size", v.Text)
	}
	s.SharedArea = append(s.SharedArea, a)
	return hint
}

func pySharedArea(s *Settings, v Value) error {
	n, err := v.whole(byteUnits, "bytes")
	if survivable(err) {
		s.PySharedArea = append(s.PySharedArea, SharedArea{Size: n, Option: v.Name, Text: v.Text, Origin: v.Origin})
	}
	return err
}
