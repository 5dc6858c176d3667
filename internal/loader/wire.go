package loader

// maxPacket bounds a message; a sender cuts long texts to fit.
const maxPacket = 64 << 10

// incoming is every message that a loader or a worker sends; each op uses some of the fields.
type incoming struct {
	Op        string `json:"op"`
	Slot      int    `json:"slot"`
	Row       int    `json:"row"`
	PID       int    `json:"pid"`
	Status    uint32 `json:"status"`
	Apps      []App  `json:"apps"`
	Python    string `json:"python"`
	Error     string `json:"error"`
	Exclusive bool   `json:"exclusive"`
	Code      int    `json:"code"`
	Reason    string `json:"reason"`
	Message   string `json:"message"`
	Level     string `json:"level"`
}

// What the supervisor sends.
type (
	forkOrder struct {
		Op     string `json:"op"`
		Slot   int    `json:"slot"`
		Row    int    `json:"row"`
		Reason string `json:"reason"`
		First  bool   `json:"first"`
	}
	drainOrder struct {
		Op      string `json:"op"`
		Reason  string `json:"reason"`
		Handoff bool   `json:"handoff"`
	}
	harakiriOrder struct {
		Op   string `json:"op"`
		Core int    `json:"core"`
	}
	plainOrder struct {
		Op string `json:"op"`
	}
)
