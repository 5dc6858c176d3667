package redis

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"uwsgi/internal/crash"
)

const (
	patience = 2 * time.Second // for an answer of Redis, in whatever it takes
	again    = 250 * time.Millisecond
	// Lease is how long what nobody renews is held, where the URL does not say so.
	Lease   = 10 * time.Second
	defName = "uwsgi"
)

// refusal is an error that does not come of Redis.
type refusal string

func (r refusal) Error() string { return string(r) }

const errAway = refusal("Redis cannot be reached")

// server is one Redis, by its URL.
type server struct {
	*goredis.Client
	name  string        // of what is ours there
	lease time.Duration // how long a lease or a job is held that nobody renews
	label string        // the URL without a password
	away  atomic.Bool
	fresh atomic.Int64 // until when nothing is taken, since Redis has started anew: ns of uptime()
}

// Check says what is wrong with a URL, without asking anybody.
func Check(address string) error {
	_, _, _, err := parse(address)
	return err
}

// Is reports whether an address is one of Redis.
func Is(address string) bool {
	scheme, _, ok := strings.Cut(address, "://")
	switch strings.ToLower(scheme) {
	case "redis", "rediss", "valkey", "valkeys", "redis+unix", "valkey+unix":
		return ok
	}
	return false
}

// parse reads a URL: go-redis' options, and the parameters that are ours.
func parse(address string) (*goredis.Options, string, time.Duration, error) {
	u, err := url.Parse(address)
	if err != nil {
		var e *url.Error
		if errors.As(err, &e) {
			err = e.Err // the other text has the password
		}
		return nil, "", 0, err
	}
	q := u.Query()
	name, lease := defName, Lease
	if q.Has("name") {
		name = q.Get("name")
	}
	if name == "" || strings.ContainsAny(name, "{}") {
		return nil, "", 0, errors.New("name= is empty, or has braces")
	}
	if q.Has("lease") {
		if lease, err = time.ParseDuration(q.Get("lease")); err != nil || lease < time.Second || lease > time.Hour {
			return nil, "", 0, errors.New("lease= is a time from 1s to 1h, such as 10s")
		}
	}
	q.Del("name")
	q.Del("lease")
	switch u.Scheme = strings.ReplaceAll(strings.ToLower(u.Scheme), "valkey", "redis"); u.Scheme {
	case "redis+unix":
		u.Scheme = "unix"
	case "redis", "rediss":
	default:
		return nil, "", 0, fmt.Errorf("%q is not redis, rediss or redis+unix", u.Scheme)
	}
	u.RawQuery = q.Encode()
	o, err := goredis.ParseURL(u.String())
	if err != nil {
		return nil, "", 0, err
	}
	for param, set := range map[string]func(){
		"dial_timeout":  func() { o.DialTimeout = time.Second },
		"read_timeout":  func() { o.ReadTimeout = time.Second },
		"write_timeout": func() { o.WriteTimeout = time.Second },
		"pool_timeout":  func() { o.PoolTimeout = time.Second },
	} {
		if !q.Has(param) {
			set()
		}
	}
	o.MaxRetries = -1 // a request that may have been carried out is not repeated unasked
	o.DialerRetries = 1
	o.DisableIdentity = true
	o.ContextTimeoutEnabled = true
	return o, name, lease, nil
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// server is the Redis of a URL; it is not asked anything yet.
func (a *agent) server(address string) (*server, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.servers[address]; s != nil {
		return s, nil
	}
	o, name, lease, err := parse(address)
	if err != nil {
		return nil, err
	}
	goredis.SetLogger(silent{})
	s := &server{name: name, lease: lease, label: o.Network + "://" + o.Addr + "/" + strconv.Itoa(o.DB)}
	o.OnConnect = s.connected
	s.Client = goredis.NewClient(o)
	a.servers[address] = s
	return s, nil
}

var upSeconds = regexp.MustCompile(`uptime_in_seconds:(\d+)`)

// connected looks at a Redis that a connection was made to: one that has just started may have
// forgotten what is held.
func (s *server) connected(ctx context.Context, conn *goredis.Conn) error {
	info, err := conn.Info(ctx, "server").Result()
	if err != nil {
		return err
	}
	m := upSeconds.FindStringSubmatch(info)
	if m == nil {
		return nil
	}
	seconds, err := strconv.Atoi(m[1])
	if err != nil {
		return err
	}
	if rest := s.lease + time.Second - time.Duration(seconds)*time.Second; rest > 0 {
		s.fresh.Store(max(s.fresh.Load(), int64(uptime()+rest)))
	}
	return nil
}

// settled reports whether what was held before Redis started has been given up by now.
func (s *server) settled() bool { return int64(uptime()) >= s.fresh.Load() }

// judge looks at what came of a request: an error that is not Redis's own word means that it is
// away, which is said once, as is its return.
func (s *server) judge(err error) error {
	var word goredis.Error
	var ours refusal
	switch {
	case err == nil, errors.Is(err, goredis.Nil), errors.As(err, &ours):
		return err
	case errors.As(err, &word):
		text := word.Error()
		if !strings.HasPrefix(text, "LOADING") && !strings.HasPrefix(text, "MASTERDOWN") && !strings.HasPrefix(text, "READONLY") {
			return err
		}
	}
	if s.away.CompareAndSwap(false, true) {
		say(fmt.Sprintf("%s cannot be reached: %v; what needs it waits, or fails", s.label, err))
		crash.Go(s.await)
	}
	return fmt.Errorf("%w: %w", errAway, err)
}

// await asks until Redis is back.
func (s *server) await() {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		err := s.Ping(ctx).Err()
		cancel()
		if err == nil {
			s.away.Store(false)
			say(s.label + " is back")
			return
		}
		time.Sleep(again)
	}
}
