package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"golang.org/x/sys/unix"

	"uwsgi/internal/crash"
	"uwsgi/internal/redis"
)

// A spooler's keys, BASE being uwsgi:{spool:NAME}. Time is Redis' own, ms.
//
//	BASE:job:ID        hash: v, b (variables, body), p (priority), put, n (attempts), s (running,
//	                   failed, or nothing), why, t (token: who has it), q (its stream)
//	BASE:all           sorted set of ids, by when they were put
//	BASE:later         sorted set of those that may not run yet, by when they may
//	BASE:failed        sorted set of those that are given up
//	BASE:priorities    sorted set of priorities, by their order
//	BASE:jobs:PRIORITY stream of ids that may run, read by the consumer group uwsgi
//	BASE:wake          stream whose last id changes when there is a new one
const scriptHead = `
local base = KEYS[1]
local function job(id) return base .. ':job:' .. id end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function wake() redis.call('XADD', base .. ':wake', 'MAXLEN', '1', '*', 'w', '1') end
local function ready(id)
	local p = redis.call('HGET', job(id), 'p') or ''
	local stream = base .. ':jobs:' .. p
	redis.call('ZADD', base .. ':priorities', p == '' and '1e15' or p, p)
	if redis.call('EXISTS', stream) == 0 then redis.call('XGROUP', 'CREATE', stream, 'uwsgi', '0', 'MKSTREAM') end
	redis.call('XADD', stream, '*', 'id', id)
end
-- out of the stream that it is in
local function take(id)
	local at = redis.call('HMGET', job(id), 'q', 'e')
	if at[1] and at[2] then
		redis.call('XACK', at[1], 'uwsgi', at[2])
		redis.call('XDEL', at[1], at[2])
	end
	redis.call('HDEL', job(id), 'q', 'e', 't')
end
local function gone(id)
	redis.call('DEL', job(id))
	for _, set in ipairs({'all', 'later', 'failed'}) do redis.call('ZREM', base .. ':' .. set, id) end
end
`

func script(body string) *goredis.Script { return goredis.NewScript(scriptHead + body) }

var (
	// put: id, variables, body, when (ms, 0 = at once), priority
	putScript = script(`
local id, at = ARGV[1], tonumber(ARGV[4])
if redis.call('EXISTS', job(id)) == 1 then return 0 end
redis.call('HSET', job(id), 'v', ARGV[2], 'b', ARGV[3], 'p', ARGV[5], 'n', 0, 's', '', 'put', now)
redis.call('ZADD', base .. ':all', now, id)
if at > now then redis.call('ZADD', base .. ':later', at, id) else ready(id) end
wake()
return 1`)

	// claim: consumer, token, lease (ms): a job, or when to ask again (ms from now, 0 = no need)
	claimScript = script(`
for _, id in ipairs(redis.call('ZRANGEBYSCORE', base .. ':later', '-inf', now, 'LIMIT', 0, 128)) do
	redis.call('ZREM', base .. ':later', id)
	ready(id)
end
local held = false
for _, p in ipairs(redis.call('ZRANGE', base .. ':priorities', 0, -1)) do
	local stream = base .. ':jobs:' .. p
	if redis.call('EXISTS', stream) == 0 then
		redis.call('ZREM', base .. ':priorities', p)
	else
		local from = '0-0' -- as far as those in hand were looked at: a few at a time
		while true do
			local entry
			while from and not entry do
				local got = redis.call('XAUTOCLAIM', stream, 'uwsgi', ARGV[1], ARGV[3], from, 'COUNT', 1)
				entry, from = got[2][1], got[1] ~= '0-0' and got[1] or nil
			end
			if not entry then
				local read = redis.call('XREADGROUP', 'GROUP', 'uwsgi', ARGV[1], 'COUNT', 1, 'STREAMS', stream, '>')
				entry = read and read[1] and read[1][2][1]
			end
			if not entry then break end
			local id = entry[2][2]
			local has = redis.call('HMGET', job(id), 'v', 'b', 'n', 's', 'why')
			if has[1] and has[4] ~= 'failed' then
				redis.call('HSET', job(id), 'q', stream, 'e', entry[1], 't', ARGV[2])
				return {id, has[1], has[2], has[3], has[4], has[5] or ''}
			end
			redis.call('XACK', stream, 'uwsgi', entry[1])
			redis.call('XDEL', stream, entry[1])
		end
		if redis.call('XLEN', stream) > 0 then held = true end
	end
end
local first = redis.call('ZRANGE', base .. ':later', 0, 0, 'WITHSCORES')[2]
local wait = first and math.max(1, first - now) or 0
if held and (wait == 0 or wait > ARGV[3] / 2) then wait = math.floor(ARGV[3] / 2) end
return {wait}`)

	// renew: id, token, consumer
	renewScript = script(`
local has = redis.call('HMGET', job(ARGV[1]), 't', 'q', 'e')
if has[1] ~= ARGV[2] then return 0 end
return #redis.call('XCLAIM', has[2], 'uwsgi', ARGV[3], 0, has[3], 'IDLE', 0, 'JUSTID')`)

	// begin: id, token, the attempt
	beginScript = script(`
if redis.call('HGET', job(ARGV[1]), 't') ~= ARGV[2] then return 0 end
redis.call('HSET', job(ARGV[1]), 's', 'running', 'n', ARGV[3])
return 1`)

	// end: id, token, how, delay (ms), why
	endScript = script(`
local id, how = ARGV[1], ARGV[3]
if redis.call('HGET', job(id), 't') ~= ARGV[2] then return 0 end
take(id)
if how == 'done' then
	gone(id)
	return 1
elseif how == 'abandoned' or how == 'leave' then
	ready(id)
elseif how == 'again' then
	redis.call('HSET', job(id), 's', '', 'n', 0)
	redis.call('ZADD', base .. ':later', now + ARGV[4], id)
elseif how == 'later' then
	redis.call('HSET', job(id), 's', '', 'why', ARGV[5])
	redis.call('ZADD', base .. ':later', now + ARGV[4], id)
else
	redis.call('HSET', job(id), 's', 'failed', 'why', ARGV[5])
	redis.call('ZADD', base .. ':failed', now, id)
end
wake()
return 1`)

	// retry: id; drop: id. 0 = there is none, -1 = somebody has it
	retryScript = script(`
local id = ARGV[1]
if redis.call('EXISTS', job(id)) == 0 then return 0 end
if redis.call('HEXISTS', job(id), 't') == 1 then return -1 end
local waits = redis.call('ZREM', base .. ':failed', id) + redis.call('ZREM', base .. ':later', id) == 0
redis.call('HSET', job(id), 's', '', 'n', 0)
if not waits then ready(id) end
wake()
return 1`)
	dropScript = script(`
if redis.call('EXISTS', job(ARGV[1])) == 0 then return 0 end
if redis.call('HEXISTS', job(ARGV[1]), 't') == 1 then return -1 end
gone(ARGV[1])
return 1`)

	// state: id: what a list shows of it
	stateScript = script(`
local has = redis.call('HMGET', job(ARGV[1]), 'v', 'b', 'n', 's', 'why', 'put', 't')
if not has[1] then return {} end
local later = redis.call('ZSCORE', base .. ':later', ARGV[1])
local state = has[4] == 'failed' and 'failed' or has[7] and 'running' or later and 'later' or 'waiting'
return {state, has[1], has[2], has[3], has[5] or '', has[6], later or '0'}`)
)

const errLost = refusal("the job is another's by now")

var tokens atomic.Int64

func (s *server) spool() []string { return []string{"uwsgi:{spool:" + s.name + "}"} }

// putJob keeps a job; asked twice for the same id it does nothing the second time.
func putJob(ctx context.Context, _ *client, s *server, a []string) ([]string, error) {
	args := []any{a[0], a[1], a[2], a[3], a[4]}
	err := putScript.Run(ctx, s, s.spool(), args...).Err()
	var word goredis.Error
	if err != nil && !errors.As(err, &word) {
		err = putScript.Run(ctx, s, s.spool(), args...).Err()
	}
	return nil, err
}

// hold is a job in the hands of a process, which ends if the job cannot be kept for it.
type hold struct {
	server    *server
	id, token string
	consumer  string
	until     time.Duration // of redis.Uptime()
	stop      chan struct{} // closed: the job is over, or kept by another connection
	gone      chan struct{} // closed: the connection is
	stopped   chan struct{}

	mu     sync.Mutex  // while its end is told, or it is renewed: a renewal sees no end half done
	ending atomic.Bool // its end was told; whether Redis has heard it is not known
}

// hold keeps a job for the process of a connection, from now until it is told how it ended.
func (c *client) hold(s *server, id, token, consumer string, until time.Duration) {
	h := &hold{server: s, id: id, token: token, consumer: consumer, until: until, stop: make(chan struct{}),
		gone: make(chan struct{}), stopped: make(chan struct{})}
	c.agent.mu.Lock()
	before := c.agent.held[token]
	c.agent.held[token] = c
	c.agent.mu.Unlock()
	if before != nil {
		before.release(id)
	}
	c.mu.Lock()
	c.held[id] = h
	c.mu.Unlock()
	crash.Go(func() { h.keep(c) })
}

// release ends the holding of a job, without a word to Redis.
func (c *client) release(id string) {
	c.mu.Lock()
	h := c.held[id]
	delete(c.held, id)
	c.mu.Unlock()
	if h != nil {
		close(h.stop)
		<-h.stopped
	}
}

// keep renews what is held. Where that fails until it could be another's, or it is, the process
// that runs the job is killed. So it is where it has let go of the connection without a word: the
// job is given back once the process has ended.
func (h *hold) keep(c *client) {
	defer func() {
		c.agent.mu.Lock()
		if c.agent.held[h.token] == c {
			delete(c.agent.held, h.token)
		}
		c.agent.mu.Unlock()
		close(h.stopped)
	}()
	step := h.server.lease / 5
	renew, gone := redis.Uptime()+step, h.gone
	for {
		wait := min(renew, h.until) - redis.Uptime()
		if gone == nil {
			wait = min(wait, 5*time.Millisecond) // for its end
		}
		select {
		case <-h.stop:
			return
		case <-gone:
			gone = nil
			h.kill(c)
		case <-time.After(max(wait, time.Millisecond)):
		}
		if ended(c.pidfd) && (gone == nil || c.pidfd >= 0) {
			h.giveBack()
			return
		}
		now := redis.Uptime()
		if now >= h.until {
			if h.ending.Load() { // nothing runs any more
				return
			}
			say(fmt.Sprintf("the job %s cannot be kept for the process that runs it, which is killed", h.id))
			h.kill(c)
			return
		}
		if now < renew {
			continue
		}
		if !h.mu.TryLock() {
			renew = now + 10*time.Millisecond
			continue
		}
		renew = now + step
		ctx, cancel := context.WithTimeout(context.Background(), min(step, h.until-now))
		n, err := renewScript.Run(ctx, h.server, h.server.spool(), h.id, h.token, h.consumer).Int()
		cancel()
		h.mu.Unlock()
		switch {
		case err == nil && n > 0:
			h.until = now + h.server.lease*4/5
		case err == nil: // another has it
			h.until = 0
		default:
			_ = h.server.judge(err)
			renew = redis.Uptime() + min(step, again)
		}
	}
}

func (h *hold) kill(c *client) {
	if c.pidfd >= 0 {
		_ = unix.PidfdSendSignal(c.pidfd, unix.SIGKILL, nil, 0)
	}
}

// giveBack lets others have the job at once. Where that fails, they have it when its time is over.
func (h *hold) giveBack() {
	ctx, cancel := context.WithTimeout(context.Background(), redis.Patience)
	defer cancel()
	_ = h.server.judge(endScript.Run(ctx, h.server, h.server.spool(), h.id, h.token, "abandoned", 0, "").Err())
}

// claimJob takes a job: its id, token, variables, body, attempts, whether the last of them did not
// end, why it failed, and a fifth of the lease in ms. With none: in how many ms to ask again, 0 =
// not unasked.
func claimJob(ctx context.Context, c *client, s *server, a []string) ([]string, error) {
	conn := s.Conn() // the same for both: what is asked first knows of a restart
	defer conn.Close()
	if err := conn.Ping(ctx).Err(); err != nil {
		return nil, err
	}
	if !s.settled() {
		return []string{"500"}, nil
	}
	began := redis.Uptime()
	token := fmt.Sprintf("%s-%d-%d", c.agent.owner, os.Getpid(), tokens.Add(1))
	got, err := claimScript.Run(ctx, conn, s.spool(), a[0], token, s.lease.Milliseconds()).Slice()
	if err != nil {
		return nil, err
	}
	parts := words(got)
	if len(parts) == 1 {
		return parts, nil
	}
	c.hold(s, parts[0], token, a[0], began+s.lease*4/5)
	died := "0"
	if parts[4] == "running" {
		died = "1"
	}
	return []string{parts[0], token, parts[1], parts[2], parts[3], died, parts[5],
		strconv.FormatInt(s.lease.Milliseconds()/5, 10)}, nil
}

func words(list []any) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = fmt.Sprint(v)
	}
	return out
}

// holdJob goes on with a job that was claimed by another connection, of an agent that has died
// mostly: its id, token, consumer.
func holdJob(ctx context.Context, c *client, s *server, a []string) ([]string, error) {
	began := redis.Uptime()
	n, err := renewScript.Run(ctx, s, s.spool(), a[0], a[1], a[2]).Int()
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, errLost
	}
	c.hold(s, a[0], a[1], a[2], began+s.lease*4/5)
	return nil, nil
}

func (c *client) job(id string) (*hold, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.held[id]; h != nil {
		return h, nil
	}
	return nil, errLost
}

func beginJob(ctx context.Context, c *client, s *server, a []string) ([]string, error) {
	h, err := c.job(a[0])
	if err != nil {
		return nil, err
	}
	n, err := beginScript.Run(ctx, s, s.spool(), h.id, h.token, a[1]).Int()
	if err == nil && n == 0 {
		err = errLost
	}
	return nil, err
}

// endJob ends a job: its id, how (done, leave, again, later, bury), a delay in ms, why.
func endJob(ctx context.Context, c *client, s *server, a []string) ([]string, error) {
	h, err := c.job(a[0])
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	again := h.ending.Swap(true)
	n, err := endScript.Run(ctx, s, s.spool(), h.id, h.token, a[1], a[2], a[3]).Int()
	if err != nil {
		return nil, err // it stays in hand, and the process asks again
	}
	c.release(h.id)
	if n == 0 && !again {
		return nil, errLost
	}
	return nil, nil
}

func listJobs(ctx context.Context, _ *client, s *server, _ []string) ([]string, error) {
	return s.ZRange(ctx, s.spool()[0]+":all", 0, -1).Result()
}

// showJob: state, variables, body, attempts, why, when it was put, when it may run (ms).
func showJob(ctx context.Context, _ *client, s *server, a []string) ([]string, error) {
	got, err := stateScript.Run(ctx, s, s.spool(), a[0]).Slice()
	return words(got), err
}

func retryJob(ctx context.Context, _ *client, s *server, a []string) ([]string, error) {
	return change(ctx, s, retryScript, a[0])
}

func dropJob(ctx context.Context, _ *client, s *server, a []string) ([]string, error) {
	return change(ctx, s, dropScript, a[0])
}

func change(ctx context.Context, s *server, how *goredis.Script, id string) ([]string, error) {
	switch n, err := how.Run(ctx, s, s.spool(), id).Int(); {
	case err != nil:
		return nil, err
	case n == 0:
		return nil, refusal("there is no job " + id)
	case n < 0:
		return nil, refusal(id + " runs just now")
	}
	return nil, nil
}

// watchJobs tells whenever there may be a new job.
func watchJobs(_ context.Context, c *client, s *server, _ []string) ([]string, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	crash.Go(func() {
		defer cancel()
		_, _ = c.conn.Read(make([]byte, 1))
	})
	const block = 5 * time.Second
	last := "$"
	for {
		got, err := s.XRead(ctx, &goredis.XReadArgs{Streams: []string{s.spool()[0] + ":wake", last},
			Block: block, Count: 1}).Result()
		switch {
		case ctx.Err() != nil:
			return nil, errTaken
		case errors.Is(err, goredis.Nil):
			continue
		case err != nil:
			_ = s.judge(err)
			last = "0"
			select {
			case <-ctx.Done():
				return nil, errTaken
			case <-time.After(again):
			}
			continue
		}
		last = got[0].Messages[len(got[0].Messages)-1].ID
		if redis.WriteFrame(c.conn, "+") != nil {
			return nil, errTaken
		}
	}
}
