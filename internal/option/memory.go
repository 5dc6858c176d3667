package option

import "time"

const groupMemory Group = "Shared memory"

// MemorySettings is what these rows say about queue and shared areas.
type MemorySettings struct {
	Queue          int64 // messages that it holds; 0 = there is none
	QueueBlockSize int64 // bytes of a message and its head, which takes 16
	QueueStore     string
	QueueStoreSync time.Duration // how often the store is written to the disk; 0 = when the kernel does
}

var memoryRows = []Row{
	{Name: "queue", Kind: Int, Example: "100", Group: groupMemory,
		Set: integer(func(s *Settings) *int64 { return &s.Queue }), Help: "a queue of N messages, for uwsgi.queue_push"},
	{Name: "queue-blocksize", Kind: Bytes, Group: groupMemory,
		Set:  sizeBytes(func(s *Settings) *int64 { return &s.QueueBlockSize }),
		Help: "its largest message, and 16 bytes more (8192)"},
	{Name: "queue-store", Kind: Path, Group: groupMemory, Set: text(func(s *Settings) *string { return &s.QueueStore }),
		Help: "a file that keeps it over restarts"},
	{Name: "queue-store-sync", Kind: Seconds, Group: groupMemory,
		Set:  seconds(func(s *Settings) *time.Duration { return &s.QueueStoreSync }),
		Help: "how often that is written to the disk (0: when the kernel does)"},
}
