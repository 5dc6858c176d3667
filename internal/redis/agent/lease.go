package agent

import (
	"context"
	"strconv"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"uwsgi/internal/crash"
	"uwsgi/internal/redis"
)

// take renews a lease, or takes one that is nobody's; its number grows with each holder. 0: another
// has it.
var take = goredis.NewScript(`
local has = redis.call('GET', KEYS[1])
if has == ARGV[1] then
	redis.call('PEXPIRE', KEYS[1], ARGV[2])
	return tonumber(redis.call('GET', KEYS[2]) or '1')
elseif has or ARGV[3] == '0' then
	return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
return redis.call('INCR', KEYS[2])`)

// once takes a minute of what a lease is for: who has the lease, and nobody before.
var once = goredis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'later' end
local at, who = string.match(redis.call('GET', KEYS[2]) or '', '^(%d+) (.*)$')
if at and tonumber(at) >= tonumber(ARGV[2]) then
	return tonumber(at) == tonumber(ARGV[2]) and who == ARGV[3] and 'mine' or 'done'
end
redis.call('SET', KEYS[2], ARGV[2] .. ' ' .. ARGV[3], 'EX', 172800)
return 'mine'`)

// yield leaves a lease, for others to take once clocks that differ by so much agree that what was
// done is over.
var yield = goredis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0`)

const skew = 2 * time.Second

// lease is the agent's endeavour to hold one name.
type lease struct {
	server        *server
	id            string // in agent.leases
	owner         string
	keys          []string
	stop, stopped chan struct{}

	mu      sync.Mutex
	until   time.Duration // of redis.Uptime()
	number  int64         // of this holder, 0 = another's
	changed chan struct{} // closed at each renewal, and replaced
	tried   chan struct{} // closed after the first try
	once    sync.Once
}

// leaseOf begins to strive for a name, for as long as this process lives.
func (a *agent) leaseOf(s *server, name string) *lease {
	a.mu.Lock()
	defer a.mu.Unlock()
	base := "uwsgi:{lease:" + s.name + "}:" + name
	id := s.label + " " + base
	l := a.leases[id]
	if l == nil {
		l = &lease{server: s, id: id, owner: a.owner, stop: make(chan struct{}), stopped: make(chan struct{}),
			keys: []string{base, base + ":number"}, changed: make(chan struct{}),
			tried: make(chan struct{})}
		a.leases[id] = l
		crash.Go(l.strive)
	}
	return l
}

func (l *lease) strive() {
	defer close(l.stopped)
	for {
		l.try()
		l.once.Do(func() { close(l.tried) })
		select {
		case <-l.stop:
			return
		case <-time.After(l.server.lease / 5):
		}
	}
}

// yieldLease leaves a name to others, until it is asked for again.
func yieldLease(ctx context.Context, c *client, s *server, a []string) ([]string, error) {
	l := c.agent.leaseOf(s, a[0])
	c.agent.mu.Lock()
	mine := c.agent.leases[l.id] == l
	delete(c.agent.leases, l.id)
	c.agent.mu.Unlock()
	if !mine {
		return nil, nil
	}
	close(l.stop)
	<-l.stopped
	return nil, l.giveUp(ctx)
}

func (l *lease) giveUp(ctx context.Context) error {
	if _, number, _ := l.state(); number == 0 || l.server.away.Load() {
		return nil
	}
	return yield.Run(ctx, l.server, l.keys, l.owner, min(skew, l.server.lease).Milliseconds()).Err()
}

func (l *lease) try() {
	if l.server.away.Load() {
		return
	}
	began := redis.Uptime()
	ctx, cancel := context.WithTimeout(context.Background(), l.server.lease/5)
	defer cancel()
	conn := l.server.Conn() // the same for both: what is asked first knows of a restart
	defer conn.Close()
	fresh := "1"
	if conn.Ping(ctx).Err() != nil || !l.server.settled() {
		fresh = "0"
	}
	n, err := take.Run(ctx, conn, l.keys, l.owner, l.server.lease.Milliseconds(), fresh).Int64()
	if l.server.judge(err) != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.number, l.until = n, 0
	if n > 0 {
		l.until = began + l.server.lease*4/5
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *lease) state() (until time.Duration, number int64, changed chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until, l.number, l.changed
}

// holdsLease answers whether this instance holds a name.
func holdsLease(ctx context.Context, c *client, s *server, a []string) ([]string, error) {
	l := c.agent.leaseOf(s, a[0])
	select {
	case <-l.tried:
	case <-ctx.Done():
	}
	if until, _, _ := l.state(); until > redis.Uptime() {
		return []string{"1"}, nil
	}
	return []string{"0"}, nil
}

// claimMinute: name, minute, token of the claim. "mine", "done", or "later" where that cannot be
// said.
func claimMinute(ctx context.Context, c *client, s *server, a []string) ([]string, error) {
	l := c.agent.leaseOf(s, a[0])
	minute, err := strconv.ParseInt(a[1], 10, 64)
	if err != nil {
		return nil, refusal(err.Error())
	}
	conn := s.Conn() // the same for both: what is asked first knows of a restart
	defer conn.Close()
	if err := conn.Ping(ctx).Err(); err != nil {
		return nil, err
	}
	if minute*60 < s.forgot.Load() { // it may have been done, and be forgotten
		return []string{"done"}, nil
	}
	keys := []string{l.keys[0], l.keys[0] + ":ran"}
	answer, err := once.Run(ctx, conn, keys, l.owner, minute, a[2]).Text()
	return []string{answer}, err
}

// watchLease tells of each renewal: until when the name is held, ns of CLOCK_BOOTTIME, and by which
// number.
func watchLease(_ context.Context, c *client, s *server, a []string) ([]string, error) {
	l := c.agent.leaseOf(s, a[0])
	gone := make(chan struct{})
	crash.Go(func() {
		defer close(gone)
		_, _ = c.conn.Read(make([]byte, 1))
	})
	for {
		until, number, changed := l.state()
		if redis.WriteFrame(c.conn, "+", strconv.FormatInt(int64(until), 10), strconv.FormatInt(number, 10)) != nil {
			return nil, errTaken
		}
		select {
		case <-changed:
		case <-gone:
			return nil, errTaken
		}
	}
}

// giveUp leaves what this process holds to others: the instance ends.
func (a *agent) giveUp() {
	a.mu.Lock()
	defer a.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), redis.Patience)
	defer cancel()
	for _, l := range a.leases {
		_ = l.giveUp(ctx)
	}
}
