package option

import "time"

// DefaultLogDate is the strftime form of log-date without a format: the one of ctime(3).
const DefaultLogDate = "%a %b %e %H:%M:%S %Y"

// Default returns the settings of an instance that nothing was said about.
func Default() *Settings {
	return &Settings{
		Processes: 1,
		Threads:   1,
		Emperor: Emperor{Freq: 3 * time.Second, CurseTolerance: 30 * time.Second,
			Throttle: time.Second, MaxThrottle: 3 * time.Minute},
		SocketSettings: SocketSettings{
			Protocol:    "uwsgi",
			DeferAccept: true,
		},
		AppSettings: AppSettings{
			NeedApp:       true,
			WarmupTimeout: 30 * time.Second,
		},
		PythonSettings: PythonSettings{
			FileWrapper: true,
		},
		AsgiSettings: AsgiSettings{
			AsgiConcurrency: 1000,
			AsgiLoop:        "auto",
			Lifespan:        "auto",
		},
		StatsSettings: StatsSettings{
			StatsPrometheusPath: "/metrics",
		},
		RequestSettings: RequestSettings{
			BufferSize:          64 << 10,
			MaxVars:             1000,
			PostBuffering:       64 << 10,
			PostBufferingMemory: 64 << 20,
			SocketTimeout:       4 * time.Second,
			ChunkedInputLimit:   1 << 20,
		},
		WebSocketSettings: WebSocketSettings{
			WebSocketMaxSize: 16 << 20,
			WebSocketPing:    20 * time.Second,
			WebSocketPong:    20 * time.Second,
			WebSocketDeflate: true,
		},
		WorkerSettings: WorkerSettings{
			CheaperAlgo:     "spare",
			CheaperStep:     1,
			CheaperOverload: 3 * time.Second,
			Busyness: Busyness{Max: 50, Min: 25, Multiplier: 10, Penalty: 2, BacklogAlert: 33, BacklogMultiplier: 3,
				BacklogStep: 1, BacklogNonzero: time.Minute},
		},
		SpoolerSettings: SpoolerSettings{
			SpoolerProcesses: 1,
			SpoolerFrequency: 30 * time.Second,
			SpoolerAttempts:  25,
			SpoolerSync:      true,
		},
		MuleSettings: MuleSettings{
			MuleReloadMercy: 60 * time.Second,
		},
		AlarmSettings: AlarmSettings{
			AlarmFreq: 3 * time.Second,
		},
		LifecycleSettings: LifecycleSettings{
			HarakiriSignal:       15,
			MinWorkerLifetime:    10 * time.Second,
			WorkerReloadMercy:    60 * time.Second,
			ForkbombDelay:        2 * time.Second,
			CheckInterval:        time.Second,
			WaitForFSTimeout:     time.Minute,
			WaitForSocketTimeout: time.Minute,
			WaitForIfaceTimeout:  time.Minute,
		},
		PrivilegeSettings: PrivilegeSettings{
			Umask: -1,
		},
	}
}
