package app

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"uwsgi/internal/control"
	"uwsgi/internal/crash"
	"uwsgi/internal/escape"
	"uwsgi/internal/sd"
)

// listed is one instance as `uwsgi list` shows it.
type listed struct {
	name, state string
	pid         int
	memory      uint64 // bytes, 0 = unknown
	since       time.Time
	stats       *listedStats // nil: it does not answer
}

// listedStats is what the list reads of an instance's stats document.
type listedStats struct {
	CWD        string
	Stopping   bool
	LastReload struct{ Error string } `json:"last_reload"`
	Workers    []struct {
		Status      string
		PID         int
		Requests    int64
		Connections int64
		InFlight    int64 `json:"in_flight"`
		Websockets  int64
		LoopLag     int64 `json:"loop_lag"` // µs
		Refused     int64
		RSS         uint64
	}
}

const listTimeout = 5 * time.Second

// list shows every instance of this machine: the units of the service manager, and those that run
// without one.
func list(std Streams) int {
	ctx, cancel := context.WithTimeout(context.Background(), listTimeout)
	defer cancel()
	var all []listed
	seen := map[int]bool{}
	for _, u := range systemUnits(ctx, std) {
		if strings.HasPrefix(u.Name, "uwsgi-unit@") || strings.HasPrefix(u.Name, "uwsgi-sockets@") {
			continue // they serve an instance's units
		}
		seen[u.MainPID] = true
		l := listed{name: u.Name, state: u.Active, pid: u.MainPID, memory: u.Memory, since: u.Since}
		if u.Active != "active" && u.Active != "reloading" && u.Result != "" && u.Result != "success" {
			l.state += " (" + u.Result + ")"
		}
		all = append(all, l)
	}
	for _, pid := range control.Instances() {
		if !seen[pid] {
			all = append(all, listed{name: "(no unit)", state: "active", pid: pid, since: startOf(pid)})
		}
	}
	if len(all) == 0 {
		fmt.Fprintln(std.Out, "no instance runs here")
		return exitOK
	}
	w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "INSTANCE\tSTATE\tPID\tWORKERS\tBUSY\tCONNS\tFLIGHT\tWS\tLAG\tREQUESTS\tREQ/S\t503S\tMEMORY\tSINCE")
	var asked sync.WaitGroup // together: one that does not answer takes no time from the others
	slots := make(chan struct{}, maxAsked)
	for i := range all {
		if l := &all[i]; l.pid > 0 {
			asked.Go(crash.Guarded(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				l.stats = askStats(ctx, l.pid)
			}))
		}
	}
	asked.Wait()
	for _, l := range all {
		columns := l.columns()
		for i, text := range columns { // some are what a process says of itself
			columns[i] = escape.String(text)
		}
		fmt.Fprintln(w, strings.Join(columns, "\t"))
	}
	w.Flush()
	return exitOK
}

// maxAsked is how many instances are asked at a time: the answers of hostile ones are not to fill
// the memory of root, who asks all.
const maxAsked = 32

// systemUnits are the services of the system's manager, and of the caller's own where he has one.
func systemUnits(ctx context.Context, std Streams) []sd.UnitState {
	if !sd.Booted() {
		return nil
	}
	var all []sd.UnitState
	bus, err := sd.ConnectBus(ctx)
	if err != nil {
		fmt.Fprintln(std.Err, "uwsgi: systemd cannot be asked:", err)
	} else {
		all = unitsOf(ctx, bus, std)
	}
	if os.Geteuid() != 0 {
		if bus, err := sd.ConnectUserBus(ctx); err == nil {
			all = append(all, unitsOf(ctx, bus, std)...)
		}
	}
	return all
}

func unitsOf(ctx context.Context, bus *sd.Bus, std Streams) []sd.UnitState {
	defer bus.Close()
	found, err := bus.ListUnits(ctx, "uwsgi@*.service", "uwsgi-*.service")
	if err != nil {
		fmt.Fprintln(std.Err, "uwsgi: systemd does not list its units:", err)
	}
	return found
}

func startOf(pid int) time.Time {
	st, err := os.Stat("/proc/" + strconv.Itoa(pid))
	if err != nil {
		return time.Time{}
	}
	return st.ModTime()
}

func askStats(ctx context.Context, pid int) *listedStats {
	answer, err := control.Ask(ctx, pid, control.Request{Command: "stats"})
	if err != nil || !answer.OK {
		return nil
	}
	stats := &listedStats{}
	if json.Unmarshal([]byte(answer.Message), stats) != nil {
		return nil
	}
	return stats
}

func (l *listed) columns() []string {
	name, workers, busy, requests, rate, memory, since := l.name, "-", "-", "-", "-", "-", "-"
	conns, refused, flying, sockets, lag := "-", "-", "-", "-", "-"
	if s := l.stats; s != nil {
		var alive, working int
		var n, open, turnedAway, inFlight, websockets, slowest int64
		var rss uint64
		for _, w := range s.Workers {
			if w.PID > 0 {
				alive++
			}
			if w.Status == "busy" {
				working++
			}
			n += w.Requests
			open += w.Connections
			turnedAway += w.Refused
			inFlight += w.InFlight
			websockets += w.Websockets
			slowest = max(slowest, w.LoopLag)
			rss += w.RSS
		}
		workers, busy, requests = fmt.Sprintf("%d/%d", alive, len(s.Workers)), strconv.Itoa(working),
			strconv.FormatInt(n, 10)
		conns, refused = strconv.FormatInt(open, 10), strconv.FormatInt(turnedAway, 10)
		flying, sockets = strconv.FormatInt(inFlight, 10), strconv.FormatInt(websockets, 10)
		lag = fmt.Sprintf("%.1fms", float64(slowest)/1000)
		if up := time.Since(l.since).Seconds(); up > 0 && !l.since.IsZero() {
			rate = strconv.FormatFloat(float64(n)/up, 'f', 1, 64)
		}
		if l.memory == 0 {
			l.memory = rss
		}
		if s.Stopping && l.state == "active" {
			l.state = "stopping"
		}
		if s.LastReload.Error != "" {
			l.state += " (reload failed)"
		}
		if name == "(no unit)" {
			name = s.CWD
		}
	}
	if l.memory > 0 {
		memory = fmt.Sprintf("%dM", l.memory>>20)
	}
	if !l.since.IsZero() {
		since = l.since.Format("2006-01-02 15:04:05")
	}
	return []string{name, l.state, strconv.Itoa(l.pid), workers, busy, conns, flying, sockets, lag, requests,
		rate, refused, memory, since}
}
