package emperor

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"time"

	"uwsgi/internal/crash"
	"uwsgi/internal/listen"
	"uwsgi/internal/option"
)

// statsDocument is what emperor-stats shows, in uWSGI's names. Times are seconds of the epoch.
type statsDocument struct {
	Version   string        `json:"version"`
	PID       int           `json:"pid"`
	UID       int           `json:"uid"`
	GID       int           `json:"gid"`
	CWD       string        `json:"cwd"`
	Emperor   []string      `json:"emperor"`
	Tyrant    int           `json:"emperor_tyrant"`
	Throttle  int           `json:"throttle_level"`
	Vassals   []vassalStats `json:"vassals"`
	Blacklist []cursedStats `json:"blacklist"`
}

type vassalStats struct {
	ID            string `json:"id"`
	PID           int    `json:"pid"`
	Born          int64  `json:"born"`
	LastMod       int64  `json:"last_mod"`
	LastHeartbeat int64  `json:"last_heartbeat"`
	Loyal         int    `json:"loyal"`
	Ready         int    `json:"ready"`
	Accepting     int    `json:"accepting"`
	LastLoyal     int64  `json:"last_loyal"`
	LastReady     int64  `json:"last_ready"`
	LastAccepting int64  `json:"last_accepting"`
	FirstRun      int64  `json:"first_run"`
	LastRun       int64  `json:"last_run"`
	Cursed        int    `json:"cursed"`
	Zerg          int    `json:"zerg"`
	OnDemand      string `json:"on_demand"`
	UID           uint32 `json:"uid"`
	GID           uint32 `json:"gid"`
	Monitor       string `json:"monitor"`
	Respawns      int    `json:"respawns"`
}

type cursedStats struct {
	ID       string `json:"id"`
	Attempts int    `json:"attempt"`
	Why      string `json:"error"`
}

// record is what is remembered of a vassal for the statistics.
type record struct {
	first, last, ready time.Time
	starts, failures   int
}

// note takes down what came of a change.
func (e *emperor) note(r result) {
	now := time.Now()
	rec := e.records[r.name]
	if rec == nil {
		rec = &record{first: now}
		e.records[r.name] = rec
	}
	switch {
	case r.op == stop:
		delete(e.records, r.name)
	case r.err != nil:
		rec.failures++
	default:
		rec.failures = 0
		rec.ready = now
		if r.op == start {
			rec.last = now
			rec.starts++
		}
	}
}

func (e *emperor) document() *statsDocument {
	s := &e.Settings.Emperor
	d := &statsDocument{Version: e.Version, PID: os.Getpid(), UID: os.Getuid(), GID: os.Getgid(), Emperor: s.Sources,
		Vassals:   []vassalStats{},
		Blacklist: []cursedStats{}}
	d.CWD, _ = os.Getwd()
	if s.Tyrant || s.TyrantNofollow {
		d.Tyrant = 1
	}
	pids := e.runner.pids()
	for _, name := range slices.Sorted(maps.Keys(e.vassals)) {
		v, rec := e.vassals[name], e.records[name]
		if rec == nil {
			rec = &record{}
		}
		ready := 0
		if pids[name] > 0 && e.failed[name] == "" {
			ready = 1
		}
		d.Vassals = append(d.Vassals, vassalStats{ID: v.id, PID: pids[name], Born: epoch(rec.first),
			LastMod: epoch(v.changed), Loyal: ready, Ready: ready,
			Accepting: ready, LastLoyal: epoch(rec.ready), LastReady: epoch(rec.ready), LastAccepting: epoch(rec.ready),
			FirstRun: epoch(rec.first),
			LastRun:  epoch(rec.last), OnDemand: v.socket, UID: v.uid, GID: v.gid, Monitor: v.monitor,
			Respawns: max(rec.starts-1, 0)})
		if why := e.failed[name]; why != "" {
			d.Blacklist = append(d.Blacklist, cursedStats{v.id, rec.failures, why})
		}
	}
	return d
}

func epoch(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// maxStats is how many clients are answered at a time.
const maxStats = 64

// serveStats answers every connection with the document, which it asks Run for, until end is
// called.
func serveStats(s *option.Settings, ask chan<- chan *statsDocument,
	log func(level slog.Level, event, text string, attrs ...slog.Attr)) (end func(), err error) {
	address := s.Emperor.Stats
	var l net.Listener
	sock, err := listen.Stats(address, "", s, nil)
	if err == nil {
		l, err = net.FileListener(sock.File)
		sock.File.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("emperor-stats = %s: %w", address, err)
	}
	log(slog.LevelInfo, "emperor.stats", "*** Emperor stats server enabled on "+address+" ***")
	slots := make(chan struct{}, maxStats)
	crash.Go(func() {
		for {
			c, err := l.Accept()
			switch {
			case errors.Is(err, net.ErrClosed):
				return
			case err != nil:
				time.Sleep(100 * time.Millisecond) // out of descriptors: not at full speed
				continue
			}
			select {
			case slots <- struct{}{}:
				crash.Go(func() {
					defer func() { <-slots }()
					answerStats(c, ask)
				})
			default:
				c.Close()
			}
		}
	})
	return func() {
		l.Close()
		_ = sock.Remove()
	}, nil
}

func answerStats(c net.Conn, ask chan<- chan *statsDocument) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	reply := make(chan *statsDocument, 1)
	select {
	case ask <- reply:
	case <-time.After(10 * time.Second):
		return
	}
	text, err := json.MarshalIndent(<-reply, "", "\t")
	if err == nil {
		_, _ = c.Write(append(text, '\n'))
	}
}
