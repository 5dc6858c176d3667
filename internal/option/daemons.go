package option

import (
	"strconv"
	"strings"
	"time"
)

const groupDaemons Group = "Programs beside the application"

// DaemonSettings is what these rows say about what runs beside the application.
type DaemonSettings struct {
	Daemons            []Daemon
	DaemonsHonourStdin bool
	Crons              []Cron
	CronHarakiri       time.Duration // of commands that name none; 0 = no limit
}

var daemonRows = []Row{
	{Name: "attach-daemon", Kind: Command, Repeat: true, Group: groupDaemons, Set: attachDaemon(Daemon{}),
		Example: "celery -A mysite worker",
		Help:    "keep a command running"},
	{Name: "attach-control-daemon", Kind: Command, Repeat: true, Group: groupDaemons,
		Example: "redis-server --port 6380",
		Set:     attachDaemon(Daemon{Control: true}), Help: "keep a command running; its end stops the instance"},
	{Name: "smart-attach-daemon", Kind: Command, Repeat: true, Group: groupDaemons, Set: smartDaemon(false),
		Example: "/run/mysite/redis.pid redis-server redis.conf",
		Help:    "keep a program that goes to the background running, known by its pidfile: PIDFILE[,FREQ] COMMAND"},
	{Name: "smart-attach-daemon2", Kind: Command, Repeat: true, Group: groupDaemons, Set: smartDaemon(true),
		Example: "/run/mysite/celery.pid celery -A mysite worker",
		Help:    "the same for a command that stays in the foreground"},
	{Name: "attach-daemon2", Kind: Command, Repeat: true, Group: groupDaemons, Set: attachDaemon2,
		Example: "cmd=celery -A mysite worker,stopsignal=15,freq=5",
		Help: "keep a command running: " +
			"cmd=COMMAND,pidfile=,freq=,control=,stopsignal=,reloadsignal=,touch=,uid=,gid=,chdir= …"},
	{Name: "daemons-honour-stdin", Kind: Flag, Group: groupDaemons,
		Set: flag(func(s *Settings) *bool { return &s.DaemonsHonourStdin }), Help: "they keep standard input"},
	{Name: "cron", Kind: Command, Repeat: true, Group: groupDaemons, Set: cron(false),
		Example: "0 3 -1 -1 -1 /usr/local/bin/backup",
		Help:    "run a command at times: MINUTE HOUR DAY MONTH WEEKDAY COMMAND, -1 = every, -N = every N"},
	{Name: "unique-cron", Kind: Command, Repeat: true, Group: groupDaemons, Set: cron(true),
		Example: "-5 -1 -1 -1 -1 python manage.py send_mail",
		Help:    "the same, not while the last run still goes on"},
	{Name: "cron2", Kind: Command, Repeat: true, Group: groupDaemons, Set: cron2,
		Example: "minute=0,hour=3,unique=1 python manage.py clearsessions",
		Help:    "the same by names: minute=-5,hour=3,unique=1,harakiri=60 COMMAND"},
	{Name: "cron-harakiri", Kind: Seconds, Group: groupDaemons, Set: cronHarakiri,
		Help: "longest run of a timed command"},
}

func attachDaemon(d Daemon) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		if strings.TrimSpace(v.Text) == "" {
			return fault("write "+v.Name+" = COMMAND", "the command is missing")
		}
		add := d
		add.Command, add.Origin = v.Text, v.Origin
		s.Daemons = append(s.Daemons, add)
		return nil
	}
}

func smartDaemon(daemonize bool) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		head, command, ok := cutBlank(v.Text)
		if !ok || command == "" {
			return fault("write "+v.Name+" = PIDFILE COMMAND", "the pidfile and a command are expected")
		}
		d := Daemon{Command: command, Daemonize: daemonize, Origin: v.Origin}
		pidfile, freq, given := strings.Cut(head, ",")
		d.Pidfile = pidfile
		if given {
			n, err := strconv.Atoi(freq)
			if err != nil || n < 0 {
				return fault("write PIDFILE,10 COMMAND", "%q is no number of checks", freq)
			}
			d.Freq = n
		}
		s.Daemons = append(s.Daemons, d)
		return nil
	}
}

// attachDaemon2 reads key=value pairs with commas between them. A comma inside a command stays
// where no known key follows it.
func attachDaemon2(s *Settings, v Value) error {
	d := Daemon{Origin: v.Origin}
	var hint error
	for _, pair := range keyvals(v.Text, daemonKeys) {
		var err error
		switch pair.key {
		case "cmd", "command", "exec":
			d.Command = pair.value
		case "pidfile":
			d.Pidfile = pair.value
		case "freq":
			d.Freq, err = strconv.Atoi(pair.value)
		case "control":
			d.Control = pair.on()
		case "daemonize", "daemon":
			d.Daemonize = pair.on()
		case "touch":
			d.Touch = strings.FieldsFunc(pair.value, func(r rune) bool { return r == ';' })
		case "stopsignal", "stop_signal":
			d.StopSignal, err = strconv.Atoi(pair.value)
		case "reloadsignal", "reload_signal":
			d.ReloadSignal, err = strconv.Atoi(pair.value)
		case "stdin":
			d.Stdin = pair.on()
		case "uid":
			d.UID = pair.value
		case "gid":
			d.GID = pair.value
		case "chdir":
			d.Chdir = pair.value
		case "max_throttle":
			d.MaxThrottle, err = strconv.Atoi(pair.value)
		case "notifypid":
			hint = warning("write pidfile=PATH", "the daemon's process id is not sent to anybody")
		case "ns_pid":
			hint = warning("start it from a unit of its own", "a process namespace for a daemon is not offered")
		}
		if err != nil {
			return fault("write "+pair.key+"=N", "%q is no number", pair.value)
		}
	}
	if d.Command == "" {
		return fault("write "+v.Name+" = cmd=COMMAND", "the command is missing")
	}
	s.Daemons = append(s.Daemons, d)
	return hint
}

var daemonKeys = []string{"cmd", "command", "exec", "pidfile", "freq", "control", "daemonize", "daemon", "touch",
	"stopsignal", "stop_signal",
	"reloadsignal", "reload_signal", "stdin", "uid", "gid", "chdir", "max_throttle", "notifypid", "ns_pid"}

type keyval struct{ key, value string }

func (k keyval) on() bool { return k.value != "" && k.value != "0" }

// keyvals splits "a=1,b=2" at the commas that a known key follows.
func keyvals(text string, keys []string) []keyval {
	var out []keyval
	for _, part := range strings.Split(text, ",") {
		key, value, ok := strings.Cut(part, "=")
		known := false
		for _, k := range keys {
			known = known || strings.TrimSpace(key) == k
		}
		if (!ok || !known) && len(out) > 0 {
			out[len(out)-1].value += "," + part
			continue
		}
		out = append(out, keyval{strings.TrimSpace(key), value})
	}
	return out
}

func cron(unique bool) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		c := Cron{Unique: unique, Origin: v.Origin}
		rest := v.Text
		for _, f := range []*int{&c.Minute, &c.Hour, &c.Day, &c.Month, &c.Week} {
			word, after, ok := cutBlank(rest)
			n, err := strconv.Atoi(word)
			if err != nil || !ok {
				if strings.ContainsAny(word, "*/") {
					return fault("write -1 for every and -5 for every 5",
						"%q: the fields are numbers, not those of crontab", word)
				}
				return fault("write "+v.Name+" = 0 3 -1 -1 -1 COMMAND", "five numbers and a command are expected")
			}
			*f, rest = n, after
		}
		if c.Command = strings.TrimSpace(rest); c.Command == "" {
			return fault("write "+v.Name+" = 0 3 -1 -1 -1 COMMAND", "the command is missing")
		}
		s.Crons = append(s.Crons, c)
		return cronRange(c)
	}
}

func cron2(s *Settings, v Value) error {
	c := Cron{Minute: -1, Hour: -1, Day: -1, Month: -1, Week: -1, Origin: v.Origin, Command: strings.TrimSpace(v.Text)}
	var hint error
	if head, command, ok := cutBlank(v.Text); ok && strings.Contains(head, "=") {
		c.Command = command
		for _, pair := range strings.Split(head, ",") {
			key, value, _ := strings.Cut(pair, "=")
			n, err := strconv.Atoi(value)
			switch key {
			case "minute":
				c.Minute = n
			case "hour":
				c.Hour = n
			case "day":
				c.Day = n
			case "month":
				c.Month = n
			case "week":
				c.Week = n
			case "unique":
				c.Unique = n != 0
			case "harakiri":
				c.Harakiri = time.Duration(n) * time.Second
			case "legion":
				c.Unique = true
				err, hint = nil, warning("write unique=1, and cluster = redis://HOST:PORT/DB",
					"there are no legions; the command runs on one machine where cluster is set, else on every one")
			default:
				return fault("write minute, hour, day, month, week, unique or harakiri", "%q is none of the names", key)
			}
			if err != nil {
				return fault("write "+key+"=N", "%q is no number", value)
			}
		}
	}
	if c.Command == "" {
		return fault("write "+v.Name+" = minute=-5 COMMAND", "the command is missing")
	}
	s.Crons = append(s.Crons, c)
	if err := cronRange(c); err != nil {
		return err
	}
	return hint
}

// cronRange warns of a time that never comes.
func cronRange(c Cron) error {
	for _, f := range []struct {
		name    string
		n, most int
	}{{"minute", c.Minute, 59}, {"hour", c.Hour, 23}, {"day", c.Day, 31}, {"month", c.Month, 12},
		{"weekday", c.Week, 7}} {
		if f.n > f.most {
			return warning("write -1 for every", "the %s %d never comes", f.name, f.n)
		}
	}
	return nil
}

func cronHarakiri(s *Settings, v Value) error {
	return seconds(func(s *Settings) *time.Duration { return &s.CronHarakiri })(s, v)
}
