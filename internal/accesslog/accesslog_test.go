package accesslog

import (
	"bytes"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"uwsgi/internal/option"
	"uwsgi/internal/request"
)

func TestMain(m *testing.M) {
	time.Local = time.FixedZone("EST", -5*3600)
	os.Exit(m.Run())
}

// requestOf makes a finished request of NAME=value pairs.
func requestOf(t testing.TB, pairs ...string) *request.Request {
	r := new(request.Request)
	for _, p := range pairs {
		name, value, _ := strings.Cut(p, "=")
		r.AddVarString(name, value)
	}
	if err := request.Finish(r, &request.Limits{Head: 64 << 10}, request.Options{}); err != nil {
		t.Fatal(err)
	}
	return r
}

var post = []string{"REQUEST_METHOD=POST", "REQUEST_URI=/a?b", "PATH_INFO=/a", "QUERY_STRING=b",
	"SERVER_PROTOCOL=HTTP/1.1", "SCRIPT_NAME=",
	"SERVER_NAME=vm", "SERVER_PORT=19900", "REMOTE_ADDR=127.0.0.1", "HTTP_HOST=127.0.0.1:19900", "HTTP_USER_AGENT=curl/7.88.1",
	"HTTP_ACCEPT=*/*", "HTTP_X_FORWARDED_FOR=1.2.3.4, 5.6.7.8", "HTTP_REFERER=r", "CONTENT_LENGTH=3", "CONTENT_TYPE=application/x-www-form-urlencoded"}

// entryOf is an entry with the numbers of the lines that uWSGI 2.0.21 wrote for the same request.
func entryOf(t testing.TB, pairs ...string) *Entry {
	return &Entry{
		Req: requestOf(t, pairs...), PID: 21348, WorkerID: 1, App: 0, AppRequests: 1, TotalRequests: 7,
		Start: 1795384168223598123, Duration: 265999, Status: 200, Body: 5, Head: 45, Headers: 1, Switches: 1,
		RSS: 16449536, VSZ: 60809216, LogVars: []LogVar{{[]byte("mine"), []byte("v1")}, {[]byte("mine"), []byte("v2")}},
	}
}

func line(t testing.TB, s *option.LogSettings, e *Entry) string {
	return string(Compile(s).Append(nil, e))
}

func TestDefaultLine(t *testing.T) {
	with := func(change func(e *Entry)) *Entry {
		e := entryOf(t, post...)
		change(e)
		return e
	}
	for _, c := range []struct {
		name     string
		settings option.LogSettings
		entry    *Entry
		want     string
	}{
		// The text of uWSGI itself for this request.
		{"plain", option.LogSettings{}, entryOf(t, post...),
			"[pid: 21348|app: 0|req: 1/7] 127.0.0.1 () {32 vars in 377 bytes} [Sun Nov 22 16:49:28 2026] POST /a?b => generated 5 bytes in 0 msecs (HTTP/1.1 200) 1 headers in 45 bytes (1 switches on core 0)"},
		{"micros, forwarded for, memory", option.LogSettings{LogMicros: true, LogXForwarded: true, MemoryReport: true}, entryOf(t, post...),
			"{address space usage: 60809216 bytes/57MB} {rss usage: 16449536 bytes/15MB} [pid: 21348|app: 0|req: 1/7] 1.2.3.4, 5.6.7.8 () {32 vars in 377 bytes} [Sun Nov 22 16:49:28 2026] POST /a?b => generated 5 bytes in 265 micros (HTTP/1.1 200) 1 headers in 45 bytes (1 switches on core 0)"},
		{"nothing known", option.LogSettings{LogXForwarded: true}, &Entry{PID: 1, App: -1, AppRequests: -1, TotalRequests: 2, Duration: -5},
			"[pid: 1|app: -1|req: -1/2]  () {0 vars in 0 bytes} [Wed Dec 31 19:00:00 1969]   => generated 0 bytes in 0 msecs ( 0) 0 headers in 0 bytes (0 switches on core 0)"},
		{"user, via, packet", option.LogSettings{LogXForwarded: true}, with(func(e *Entry) {
			e.Req = requestOf(t, "REMOTE_USER=joe", "REMOTE_ADDR=::1", "REQUEST_METHOD=GET", "REQUEST_URI=/")
			e.Via, e.Packet, e.CoreID, e.Duration = "sendfile", 999, 3, 1999999999
		}), "[pid: 21348|app: 0|req: 1/7] ::1 (joe) {10 vars in 999 bytes} [Sun Nov 22 16:49:28 2026] GET / => " +
			"generated 5 bytes in 1999 msecs via sendfile() ( 200) 1 headers in 45 bytes (1 switches on core 3)"},
	} {
		if got := line(t, &c.settings, c.entry); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.name, got, c.want)
		}
	}
}

// A line of more than 4096 bytes, newline included, loses all that the client chose.
func TestLongLine(t *testing.T) {
	l := Compile(&option.LogSettings{MemoryReport: true})
	const memory = "{address space usage: 60809216 bytes/57MB} {rss usage: 16449536 bytes/15MB} "
	longest := 0
	for n := 3800; n < 4000; n++ {
		e := entryOf(t, "REQUEST_URI="+strings.Repeat("a", n), "REQUEST_METHOD=GET", "REMOTE_USER=joe")
		whole := string(l.appendWhole(nil, e, false))
		got, ok := strings.CutPrefix(string(l.Append(nil, e)), memory)
		if !ok {
			t.Fatal("no memory report in front")
		}
		if len(whole)+1 <= 4096 {
			longest = n
		} else {
			whole = "[pid: 21348|app: 0|req: 1/7] 0.0.0.0 () {6 vars in " + strconv.Itoa(e.packet()) +
				" bytes} [Sun Nov 22 16:49:28 2026] - - => generated 5 bytes in 0 msecs (- 200) 1 headers in 45 " +
				"bytes (1 switches on core 0)"
		}
		if got != whole {
			t.Fatalf("%d bytes of URI:\n%s, want\n%s", n, got, whole)
		}
	}
	if longest == 0 || longest == 3999 {
		t.Fatal("the limit lies outside what was tried")
	}
}

func TestFormat(t *testing.T) {
	all := "XX %(uri)|%(method)|%(user)|%(addr)|%(host)|%(proto)|%(uagent)|%(referer)|%(status)|%(micros)|" +
		"%(msecs)|%(secs)|%(time)|%(tmsecs)|%(tmicros)|%(epoch)|%(ctime)|%(ltime)|%(ftime)|%(size)|%(rsize)|" +
		"%(hsize)|%(cl)|%(pid)|%(wid)|%(core)|%(switches)|%(vars)|%(headers)|%(pktsize)|%(modifier1)|" +
		"%(modifier2)|%(rss)|%(vsz)|%(rssM)|%(vszM)|%(rerr)|%(werr)|%(ioerr)|%(var.HTTP_REFERER)|%(var.NONE)|" +
		"%(metric.x)|%(mine)|%(nope)|%%(uri)|"
	for _, c := range []struct {
		format   string
		settings option.LogSettings
		want     string
	}{
		// The text of uWSGI itself, but for rss and vsz, which it had not measured.
		{all, option.LogSettings{LogXForwarded: true}, "XX /a?b|POST|-|1.2.3.4, 5.6.7.8|127.0.0.1:19900|HTTP/1.1|curl/7.88.1|r|200|265|0|0.000265|1795384168|1795384168223|1795384168223598|1795384168|Sun Nov 22 16:49:28 2026|22/Nov/2026:16:49:28 -0500|22/Nov/2026:16:49:28 -0500|50|5|45|3|21348|1|0|1|32|1|377|0|0|16449536|60809216|15|57|0|0|0|r|-|0|v2|-|%/a?b|"},
		{"%(addr) %(ftime)", option.LogSettings{LogFormatFtime: true, LogDate: "%Y-%m-%dT%H:%M:%S%z"}, "127.0.0.1 2026-11-22T16:49:28-0500"},
		{"%(ftime)", option.LogSettings{LogDate: "%Y"}, "22/Nov/2026:16:49:28 -0500"},
		{"no variable, 100% %d %%", option.LogSettings{}, "no variable, 100% %d %%"},
		{"%() %(a b) %(", option.LogSettings{}, "%() - %("},
		{"%(uri", option.LogSettings{}, "%(uri"},
		{"%(method)%(uri)", option.LogSettings{}, "POST/a?b"},
		{"%", option.LogSettings{}, "%"},
	} {
		c.settings.LogFormat = c.format
		if got := line(t, &c.settings, entryOf(t, post...)); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.format, got, c.want)
		}
	}
	empty := &Entry{App: -1, Duration: 61000001000, Start: 59e9, WriteErrors: 3}
	if got, want := line(t, &option.LogSettings{LogFormat: "%(uri) %(addr) %(host) %(var.X) %(cl) %(vars) %(pktsize) " +
		"%(secs) %(epoch) %(ioerr) %(rerr) %(werr) %(modifier1) %(modifier2)"}, empty),
		"- - - - 0 0 0 61.000001 120 3 0 3 0 0"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	e := entryOf(t, post...)
	e.Req.Modifier1, e.Req.Modifier2 = 30, 7
	if got := line(t, &option.LogSettings{LogFormat: "%(modifier1) %(modifier2)"}, e); got != "30 7" {
		t.Errorf("modifiers %s, want 30 7", got)
	}
}

// Nothing that a client sends ends a line, or reaches a terminal as a control sequence.
func TestForgedLines(t *testing.T) {
	forged := "x\n[pid: 1|app: 0] \r\x1b[2J\x00\x7f\ty"
	e := entryOf(t, "REQUEST_METHOD="+forged, "REQUEST_URI="+forged, "REMOTE_ADDR="+forged, "REMOTE_USER="+forged,
		"SERVER_PROTOCOL="+forged,
		"HTTP_HOST="+forged, "HTTP_USER_AGENT="+forged, "HTTP_REFERER="+forged, "HTTP_X_FORWARDED_FOR="+forged, "HTTP_X="+forged)
	e.LogVars = []LogVar{{[]byte("mine"), []byte(forged)}}
	for _, s := range []option.LogSettings{
		{}, {LogXForwarded: true},
		{LogFormat: "%(method) %(uri) %(addr) %(user) %(proto) %(host) %(uagent) %(referer) %(var.HTTP_X) %(mine)"},
	} {
		got := line(t, &s, e)
		if strings.ContainsFunc(got, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			t.Errorf("control bytes in %q", got)
		}
		if !strings.Contains(got, `x\x0a[pid: 1|app: 0] \x0d\x1b[2J\x00\x7f\x09y`) {
			t.Errorf("escaped otherwise: %q", got)
		}
	}
}

// What is text stays as it is. What looks like none, in any encoding, is spelt out, and quotation
// marks of the format end where it ends them.
func TestText(t *testing.T) {
	for _, c := range []struct{ format, agent, want string }{
		{"%(uagent)", "caf\xc3\xa9 \"\\ \U0001f40d \xef\xbf\xbd", "caf\xc3\xa9 \"\\ \U0001f40d \xef\xbf\xbd"},
		{"%(uagent)", "a\xc2\x9b31m", `a\xc2\x9b31m`},                                   // CSI in one byte, as UTF-8
		{"%(uagent)", "a\x9b31m\xff", `a\x9b31m\xff`},                                   // and as it is
		{"%(uagent)", "a\xc2\x85b\u2028c\u2029", `a\xc2\x85b\xe2\x80\xa8c\xe2\x80\xa9`}, // line ends of Unicode
		{"%(uagent)", "a\u202eb", `a\xe2\x80\xaeb`},                                     // written from right to left
		{"%(uagent)", "a\xe2\x80", `a\xe2\x80`},                                         // cut short
		{`"%(uagent)" %(uagent)`, `a" 200 "b\`, `"a\" 200 \"b\\" a" 200 "b\`},
		{`%% "%() %(method) %(uagent)" %(uagent)`, `"`, `%% "%() - \"" "`},
	} {
		if got := line(t, &option.LogSettings{LogFormat: c.format},
			entryOf(t, "HTTP_USER_AGENT="+c.agent)); got != c.want {
			t.Errorf("%s of %q: %s, want %s", c.format, c.agent, got, c.want)
		}
	}
}

// jsonFormat is an object as operators write them: texts within quotation marks, within escaped
// ones, and without.
const jsonFormat = `{"uri":"%(uri)", "agent":"%(uagent)","nested":"m=\"%(method)\" \\\\%(proto)", "mine" : "%(mine)", "bare":%(mine), "x":%(var.HTTP_X),
 "none":%(var.NONE), "status":%(status),"secs":%(secs), "at":%(ltime), "time":"%(ctime)", "list":[%(cl),"%(addr)"], "metric":%(metric.x)}`

// What a client sends, or the application sets, a line of a format that is JSON says the same.
func TestJSON(t *testing.T) {
	e := entryOf(t, "REQUEST_METHOD=POST", "REQUEST_URI=/a?b", "SERVER_PROTOCOL=HTTP/1.1",
		"REMOTE_ADDR=127.0.0.1", "HTTP_X=[1, true]",
		"HTTP_USER_AGENT=\"},{\\ caf\xc3\xa9 \xff\x9b\n\x1b[2J\u202e\U000e0001")
	got := line(t, &option.LogSettings{LogFormat: jsonFormat}, e)
	var fields map[string]any
	if err := json.Unmarshal([]byte(got), &fields); err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	for name, want := range map[string]any{
		"agent": "\"},{\\ caf\u00e9 \u00ff\u009b\n\x1b[2J\u202e\U000e0001", "nested": `m="POST" \\HTTP/1.1`, "bare": "v2", "none": nil, "status": 200.0, "secs": 0.000265,
		"at": "22/Nov/2026:16:49:28 -0500", "uri": "/a?b",
	} {
		if fields[name] != want {
			t.Errorf("%s: %q, want %q", name, fields[name], want)
		}
	}
	for format, want := range map[string]string{
		`@cee: {"a":"%(uagent)"}`: `@cee: {"a":"\u00ff"}`,
		`{"a":"%(uagent)"`:        `{"a":"\xff"`, // no JSON
		`{%(uagent)}`:             `{\xff}`,
		`{"a":"%(uagent)"} %(pid`: `{"a":"\xff"} %(pid`,
	} {
		if got := line(t, &option.LogSettings{LogFormat: format}, entryOf(t, "HTTP_USER_AGENT=\xff")); got != want {
			t.Errorf("%s: %s, want %s", format, got, want)
		}
	}
}

func FuzzJSON(f *testing.F) {
	f.Add("/", "curl", "1")
	f.Add("/\n\"\\", "\xff\xe2\x80\xae\x7f", "{\"a\":[1,2]}")
	f.Add("\U000e0001\ufffd", "\xed\xa0\x80", "-")
	l := Compile(&option.LogSettings{LogFormat: jsonFormat})
	f.Fuzz(func(t *testing.T, uri, agent, mine string) {
		r := new(request.Request)
		for name, value := range map[string]string{"REQUEST_URI": uri, "REQUEST_METHOD": agent, "SERVER_PROTOCOL": mine,
			"REMOTE_ADDR": uri, "HTTP_USER_AGENT": agent, "HTTP_X": uri} {
			r.AddVarString(name, value)
		}
		if err := request.Finish(r, &request.Limits{Head: 1 << 20}, request.Options{}); err != nil {
			t.Skip()
		}
		got := l.Append(nil, &Entry{Req: r, LogVars: []LogVar{{[]byte("mine"), []byte(mine)}}})
		var fields map[string]any
		if err := json.Unmarshal(got, &fields); err != nil {
			t.Fatalf("%v: %q", err, got)
		}
		if bytes.ContainsFunc(bytes.ReplaceAll(got, []byte(",\n "), nil),
			func(c rune) bool { return c != utf8.RuneError && !unicode.IsPrint(c) }) || !utf8.Valid(got) {
			t.Fatalf("raw: %q", got)
		}
		if want := agent; utf8.ValidString(want) && want != "" && fields["agent"] != want {
			t.Fatalf("%q became %q", want, fields["agent"])
		}
	})
}

func TestWants(t *testing.T) {
	quiet := option.LogSettings{DisableLogging: true}
	with := func(change func(s *option.LogSettings)) *option.LogSettings {
		s := quiet
		change(&s)
		return &s
	}
	for _, c := range []struct {
		name     string
		settings *option.LogSettings
		yes, no  Entry
	}{
		{"forced", &quiet, Entry{Forced: true}, Entry{}},
		{"4xx", with(func(s *option.LogSettings) { s.Log4xx = true }), Entry{Status: 499}, Entry{Status: 500}},
		{"5xx", with(func(s *option.LogSettings) { s.Log5xx = true }), Entry{Status: 500}, Entry{Status: 499}},
		{"zero", with(func(s *option.LogSettings) { s.LogZero = true }), Entry{Body: 0}, Entry{Body: 1}},
		{"sendfile", with(func(s *option.LogSettings) { s.LogSendfile = true }), Entry{Via: "sendfile"}, Entry{Via: "offload"}},
		{"write error", with(func(s *option.LogSettings) { s.LogIOError = true }), Entry{WriteErrors: 1}, Entry{}},
		{"slow", with(func(s *option.LogSettings) { s.LogSlow = time.Second }), Entry{Duration: 1e9}, Entry{Duration: 999999999}},
		{"big", with(func(s *option.LogSettings) { s.LogBig = 10 }), Entry{Body: 10}, Entry{Body: 9}},
	} {
		l := Compile(c.settings)
		if !l.Wants(&c.yes) || l.Wants(&c.no) {
			t.Errorf("%s: %t for %+v, %t for %+v", c.name, l.Wants(&c.yes), c.yes, l.Wants(&c.no), c.no)
		}
	}
	if !Compile(&option.LogSettings{}).Wants(&Entry{Status: 200, Body: 1}) {
		t.Error("without disable-logging a request is not wanted")
	}
}

// The kept second must not leak into lines of other seconds, earlier or later.
func TestClock(t *testing.T) {
	l := Compile(&option.LogSettings{LogFormat: "%(ctime) %(ltime)"})
	for range 2 {
		for _, sec := range []int64{1795384168, 1795384169, 1795384100, 1795384169} {
			want := time.Unix(sec, 0).Format("Mon Jan _2 15:04:05 2006 02/Jan/2006:15:04:05 -0700")
			if got := string(l.Append(nil, &Entry{Start: sec * 1e9})); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
	}
}

func TestStrftime(t *testing.T) {
	text, err := os.ReadFile("testdata/strftime.tsv")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, row := range strings.Split(string(text), "\n") {
		f := strings.SplitN(row, "\t", 3)
		if len(f) != 3 {
			continue
		}
		sec, err := strconv.ParseInt(f[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		checked++
		if got := string(Strftime(nil, f[1], time.Unix(sec, 0))); got != f[2] {
			t.Errorf("%d:\n%s, want\n%s", sec, got, f[2])
		}
	}
	if checked < 100 {
		t.Fatalf("only %d rows were checked", checked)
	}
	for format, want := range map[string]string{"%": "%", "100%": "100%", "%-": "%-", "%Q": "%Q", "%-Q": "%-Q",
		"a%nb%tc": "a\nb\tc", "": ""} {
		if got := string(Strftime(nil, format, time.Unix(0, 0))); got != want {
			t.Errorf("%q: %q, want %q", format, got, want)
		}
	}
}

var formats = map[string]option.LogSettings{
	"Default": {MemoryReport: true, LogXForwarded: true},
	"JSON":    {LogFormat: `{"addr":"%(addr)","uri":"%(uri)","agent":"%(uagent)","status":%(status),"t":"%(ltime)"}`},
	"Format":  {LogFormat: `%(addr) - %(user) [%(ltime)] "%(method) %(uri) %(proto)" %(status) %(size) "%(referer)" "%(uagent)" %(secs) %(mine) %(ctime)`},
}

func TestAppendAllocatesNothing(t *testing.T) {
	for name, s := range formats {
		l, e := Compile(&s), entryOf(t, post...)
		dst := make([]byte, 0, 4096)
		if n := testing.AllocsPerRun(100, func() {
			if l.Wants(e) {
				dst = l.Append(dst[:0], e)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for name, s := range formats {
		b.Run(name, func(b *testing.B) {
			l, e := Compile(&s), entryOf(b, post...)
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				dst = l.Append(dst[:0], e)
			}
		})
	}
}
