// Package alarm tells people what happens to an instance: by a command, a line of the log, a signal
// of uWSGI's, a message for a mule, a request or a mail.
//
// Who raises an alarm never waits. Each alarm has a goroutine that does what it says, one message
// after the other, and a short queue before it; what does not fit in is dropped and counted. What
// the actions themselves write to the log raises no alarm.
package alarm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"uwsgi/internal/crash"
	"uwsgi/internal/option"
	"uwsgi/internal/stats"
)

const (
	usualSize = 8192            // of a message: uWSGI's alarm-msg-size
	backlog   = 64              // messages that wait for one alarm
	lastWords = 2 * time.Second // what waits is still sent at the end, for as long as this
	longest   = time.Minute     // an action that takes longer is given up
)

// Env is the world around the alarms of one configuration.
type Env struct {
	Log  func(text string) // a dated line, which raises no alarm
	Warn func(text string) // a line about an alarm that went wrong, which raises none either
	// Signal raises a signal of uWSGI's; Mule puts a message into the queue of a mule, 0 = of all.
	Signal func(n int) error
	Mule   func(n int, message string) error

	// Of commands.
	Credential *syscall.Credential      // whom they run as; nil = this user
	Environ    func() []string          // nil = this process's
	Dir        func() string            // nil = this process's
	Output     func() (*os.File, error) // what they print, to be closed; a nil file: this process's standard error
}

// Alarms are those of one configuration. All methods of nil do nothing.
type Alarms struct {
	env    Env
	set    *option.Settings
	list   []*alarm
	byName map[string]*alarm
	rules  []rule
	socket socket
	watch  watch

	ctx    context.Context // of what the actions do
	cancel context.CancelFunc
	stop   chan struct{} // closed: what waits is the last
	once   sync.Once
	wg     sync.WaitGroup
	begun  bool
}

// rule is one log-alarm.
type rule struct {
	re     *option.Pattern
	alarms []*alarm
	not    bool
}

// alarm is one way to tell somebody.
type alarm struct {
	name, action string
	act          func(ctx context.Context, message string) error
	queue        chan string
	freq         time.Duration

	mu     sync.Mutex // guards what follows
	last   string     // message
	at     time.Time  // when it was raised
	counts stats.Alarm
	unsaid int // that were dropped and the log does not say so yet
}

// New makes the alarms of s; nil where there are none. They raise nothing before Start.
func New(s *option.Settings, env Env) (*Alarms, error) {
	if len(s.Alarms) == 0 {
		return nil, nil
	}
	a := &Alarms{env: env, set: s, byName: map[string]*alarm{}, stop: make(chan struct{})}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	for _, o := range s.Alarms {
		one := &alarm{name: o.Name, action: o.Action, queue: make(chan string, backlog), freq: s.AlarmFreq}
		var err error
		if one.act, err = a.action(o); err != nil {
			return nil, option.Wrong("alarm", o.Name+" "+o.Action+":"+o.Arg, err)
		}
		a.list = append(a.list, one)
		a.byName[o.Name] = one
	}
	for _, o := range s.AlarmLogs {
		re, err := option.CompilePattern(o.Pattern)
		if err != nil {
			return nil, option.Wrong("log-alarm", o.Pattern, err)
		}
		r := rule{re: re, not: o.Not}
		for _, name := range o.Alarms {
			if one := a.byName[name]; one != nil {
				r.alarms = append(r.alarms, one)
			}
		}
		a.rules = append(a.rules, r)
	}
	if err := a.socket.open(); err != nil {
		return nil, err
	}
	if err := a.watch.open(s.AlarmFDs); err != nil {
		a.socket.close()
		return nil, err
	}
	return a, nil
}

// Start begins to do what was asked for since New, and what will be. Call it once, before Stop.
func (a *Alarms) Start() {
	if a == nil {
		return
	}
	a.begun = true
	for _, one := range a.list {
		a.wg.Go(crash.Guarded(func() { a.serve(one) }))
	}
	a.wg.Go(crash.Guarded(func() { a.socket.read(a.size(), a.Raise) }))
	if len(a.watch.fds) > 0 {
		a.wg.Go(crash.Guarded(func() { a.watch.run(a.Raise, a.say) }))
	}
}

// File is where processes of the application raise alarms: a datagram each, the name, a zero byte
// and the message. nil without alarms.
func (a *Alarms) File() *os.File {
	if a == nil {
		return nil
	}
	return a.socket.in
}

func (a *Alarms) size() int {
	if n := a.set.AlarmMsgSize; n > 0 {
		return n
	}
	return usualSize
}

// Raise raises the alarm of that name, if there is one. It never waits.
func (a *Alarms) Raise(name, message string) {
	if a == nil {
		return
	}
	if one := a.byName[name]; one != nil {
		one.put(a.cut(message))
	}
}

// cut is as much of a message as may be.
func (a *Alarms) cut(message string) string {
	if n := a.size(); len(message) > n {
		return strings.ToValidUTF8(message[:n], "")
	}
	return message
}

// Line raises the alarms that are for such a line of the log. It never waits.
func (a *Alarms) Line(text string) {
	for _, r := range a.rules {
		if !r.re.MatchString(text) {
			continue
		}
		if r.not {
			return
		}
		for _, one := range r.alarms {
			one.put(a.cut(text + "\n"))
		}
	}
}

// HeedsLog reports whether lines of the log can raise an alarm.
func (a *Alarms) HeedsLog() bool { return a != nil && len(a.rules) > 0 }

// put queues a message, unless it is the last one again.
func (one *alarm) put(message string) {
	now := time.Now()
	one.mu.Lock()
	defer one.mu.Unlock()
	if message == one.last && !one.at.IsZero() && now.Sub(one.at) < one.freq {
		one.counts.Suppressed++
		return
	}
	one.last, one.at = message, now
	select {
	case one.queue <- message:
		one.counts.Raised++
	default:
		one.counts.Dropped++
		one.unsaid++
	}
}

// serve does what one alarm says until the end.
func (a *Alarms) serve(one *alarm) {
	for {
		select {
		case m := <-one.queue:
			a.do(one, m)
		case <-a.stop:
			for a.ctx.Err() == nil {
				select {
				case m := <-one.queue:
					a.do(one, m)
				default:
					return
				}
			}
			return
		}
	}
}

func (a *Alarms) do(one *alarm, message string) {
	ctx, cancel := context.WithTimeout(a.ctx, longest)
	defer cancel()
	err := one.act(ctx, message)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("given up after %v", longest)
	}
	one.mu.Lock()
	dropped := one.unsaid
	one.unsaid = 0
	if err != nil {
		one.counts.Failed++
	}
	one.mu.Unlock()
	if err != nil {
		a.say("alarm " + one.name + ": " + err.Error())
	}
	if dropped > 0 {
		a.say(fmt.Sprintf("alarm %s: %d messages were dropped, it is slower than they come", one.name, dropped))
	}
}

func (a *Alarms) say(text string) { a.env.Warn("[uwsgi-alarm] " + text) }

// Stop ends them: what waits is still done, for a moment. It does not wait.
func (a *Alarms) Stop() {
	if a == nil {
		return
	}
	a.once.Do(func() {
		a.socket.close()
		a.watch.close(a.begun)
		close(a.stop)
		time.AfterFunc(lastWords, crash.Guarded(a.cancel))
	})
}

// Close is Stop, and waits.
func (a *Alarms) Close() {
	if a == nil {
		return
	}
	a.Stop()
	a.wg.Wait()
	a.cancel()
}

// Stats describes each alarm.
func (a *Alarms) Stats() (list []stats.Alarm) {
	if a == nil {
		return nil
	}
	for _, one := range a.list {
		one.mu.Lock()
		x := one.counts
		if !one.at.IsZero() {
			x.LastRaised = one.at.Unix()
		}
		one.mu.Unlock()
		x.Name, x.Action = one.name, one.action
		list = append(list, x)
	}
	return list
}
