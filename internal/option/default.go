package option

import "time"

// DefaultLogDate is the strftime form of log-date without a format: the one of ctime(3).
const DefaultLogDate = "%a %b %e %H:%M:%S %Y"

// Default returns the settings of an instance that nothing was said about.
func Default() *Settings {
	return &Settings{
		Processes: 1,
		Threads:   1,

		AsgiConcurrency: 1000,
		AsgiLoop:        "auto",
		Lifespan:        "auto",

		Protocol: "uwsgi",
		Umask:    -1,

		DeferAccept: true,

		NeedApp:     true,
		FileWrapper: true,

		BufferSize:          64 << 10,
		MaxVars:             1000,
		PostBuffering:       64 << 10,
		PostBufferingMemory: 64 << 20,
		SocketTimeout:       4 * time.Second,
		ChunkedInputLimit:   1 << 20,

		WebSocketMaxSize: 16 << 20,
		WebSocketPing:    20 * time.Second,
		WebSocketPong:    20 * time.Second,
		WebSocketDeflate: true,

		HarakiriSignal:    15,
		MinWorkerLifetime: 10 * time.Second,
		WorkerReloadMercy: 60 * time.Second,
		CheaperAlgo:       "spare",
		CheaperStep:       1,
		CheaperOverload:   3 * time.Second,
		ForkbombDelay:     2 * time.Second,
		CheckInterval:     time.Second,
		Busyness: Busyness{Max: 50, Min: 25, Multiplier: 10, Penalty: 2, BacklogAlert: 33, BacklogMultiplier: 3,
			BacklogStep: 1, BacklogNonzero: time.Minute},
		WaitForFSTimeout:     time.Minute,
		WaitForSocketTimeout: time.Minute,
		WaitForIfaceTimeout:  time.Minute,
		Emperor: Emperor{Freq: 3 * time.Second, CurseTolerance: 30 * time.Second,
			Throttle: time.Second, MaxThrottle: 3 * time.Minute},
	}
}
