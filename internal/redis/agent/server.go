package agent

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"uwsgi/internal/crash"
	"uwsgi/internal/redis"
)

const (
	again = 250 * time.Millisecond
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
	said  sync.Map      // when it last refused something: time.Time, by the kind of the error

	figures func(cache string) *redis.Figures
	away    atomic.Bool
	forgot  atomic.Int64 // when it started, if what was before may be forgotten: Unix time, seconds
	fresh   atomic.Int64 // until when nothing is taken, since Redis has started anew: ns of redis.Uptime()
}

// options reads a URL: go-redis' options beside what is ours.
func options(address string) (*goredis.Options, *redis.Address, error) {
	at, err := redis.Parse(address)
	if err != nil {
		return nil, nil, err
	}
	o, err := goredis.ParseURL(at.URL.String())
	if err != nil {
		return nil, nil, err
	}
	q := at.URL.Query()
	for param, set := range map[string]func(){
		"dial_timeout":  func() { o.DialTimeout = time.Second },
		"read_timeout":  func() { o.ReadTimeout = redis.Patience },
		"write_timeout": func() { o.WriteTimeout = redis.Patience },
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
	return o, at, nil
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
	o, at, err := options(address)
	if err != nil {
		return nil, err
	}
	goredis.SetLogger(silent{})
	s := &server{name: at.Name, lease: at.Lease, label: o.Network + "://" + o.Addr + "/" + strconv.Itoa(o.DB),
		figures: func(cache string) *redis.Figures { return a.board.Of(address, cache) }}
	o.OnConnect = s.connected
	o.Dialer = patience(goredis.NewDialer(o))
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
	knows := remembers(ctx, conn)
	if !knows {
		s.forgot.Store(max(s.forgot.Load(), time.Now().Unix()-int64(seconds)))
	}
	if rest := s.lease + time.Second - time.Duration(seconds)*time.Second; rest > 0 && !knows {
		s.fresh.Store(max(s.fresh.Load(), int64(redis.Uptime()+rest)))
	}
	_ = conn.SetNX(ctx, mark, "1", 0).Err() // where that is refused, so is what is asked next
	return nil
}

// mark is a key that is there once we were.
const mark = "uwsgi:known"

// remembers reports whether a Redis is sure to have all that it had before its start: it
// writes down everything before it answers, and has our mark, so that its file was not lost.
func remembers(ctx context.Context, conn *goredis.Conn) bool {
	got, err := conn.ConfigGet(ctx, "append*").Result()
	if err != nil || got["appendonly"] != "yes" || got["appendfsync"] != "always" {
		return false
	}
	n, err := conn.Exists(ctx, mark).Result()
	return err == nil && n == 1
}

// settled reports whether what was held before Redis started has been given up by now.
func (s *server) settled() bool { return int64(redis.Uptime()) >= s.fresh.Load() }

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
		if !strings.HasPrefix(text, "LOADING") && !strings.HasPrefix(text, "MASTERDOWN") &&
			!strings.HasPrefix(text, "READONLY") {
			s.refused(text)
			return err
		}
	}
	if s.away.CompareAndSwap(false, true) {
		say(fmt.Sprintf("%s cannot be reached: %v; what needs it waits, or fails", s.label, err))
		crash.Go(s.await)
	}
	return fmt.Errorf("%w: %w", errAway, err)
}

// quiet is how long nothing is said of refusals like one that has been told.
const quiet = time.Minute

// refused tells what Redis will not do, such as a wrong password or no memory: a cache answers None
// to that, and nobody else would say why.
func (s *server) refused(text string) {
	kind, _, _ := strings.Cut(text, " ")
	now := time.Now()
	if last, ok := s.said.Load(kind); ok && now.Sub(last.(time.Time)) < quiet {
		return
	}
	s.said.Store(kind, now)
	say(s.label + " refuses: " + text)
}

// isFull reports whether Redis has no memory for more (maxmemory).
func isFull(err error) bool {
	var word goredis.Error
	return errors.As(err, &word) && strings.HasPrefix(word.Error(), "OOM ")
}

// await asks until Redis is back.
func (s *server) await() {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), redis.Patience)
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
