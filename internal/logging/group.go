package logging

import (
	"bytes"
	"regexp"

	"uwsgi/internal/sd"
)

// grouper puts the lines that a worker prints together into messages: a traceback with all its
// causes is one, a dump of the threads' stacks is one, and an indented line belongs to the line
// above that came with it.
type grouper struct {
	emit  func(text string, priority int)
	state groupState
	text  []byte
	pri   int
	lines int
}

type groupState int

const (
	groupNone   groupState = iota
	groupPlain             // a line that may get indented ones
	groupIntro             // a line that announces a traceback
	groupFrames            // inside a traceback
	groupCause             // past its last line, "ValueError: …"
	groupGap               // a blank line after that: another traceback may follow
	groupDump              // faulthandler's stacks
)

const (
	maxGroup      = 192 << 10 // bytes of one message: a datagram to the journal holds as much
	maxGroupLines = 4000
)

var (
	tracebackHead = []byte("Traceback (most recent call last):")
	// introLine is what Python prints in front of a traceback on a line of its own.
	introLine = regexp.MustCompile(`^(Exception ignored |Exception in thread |Unhandled exception in |Task exception was never retrieved)`)
	// chainLine stands between a traceback and its cause.
	chainLine = regexp.MustCompile(`^(During handling of the above exception, another exception occurred:|The above exception was the direct cause of the following exception:)`)
	// dumpLine begins one thread's stack: faulthandler.
	dumpLine = regexp.MustCompile(`^(Current thread |Thread )0x[0-9a-f]+.*\(most recent call first\):$|^Fatal Python error: |^Stack \(most recent call first\):$`)
	// headLine is how a new message begins when it follows a multi-line error message in one write.
	headLine = regexp.MustCompile(`^(<[0-7]>|\*\*\* |unable to load app \d|WSGI app \d|\[?\d{4}[-/]\d\d[-/]\d\d|\[pid: |(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d )`)
	// levelLine is the beginning of logging.basicConfig's and Flask's formats.
	levelLine = regexp.MustCompile(`^(?:\[[^\]]*\] )?(DEBUG|INFO|WARNING|ERROR|CRITICAL)(?::| in )`)
)

// line takes one line without its newline; fresh is set on the first line of a read, so on one that
// a write may have begun with.
func (g *grouper) line(l []byte, fresh bool) {
	if g.lines >= maxGroupLines || len(g.text)+len(l) >= maxGroup {
		g.flush()
	}
	blank := len(bytes.TrimSpace(l)) == 0
	indented := !blank && (l[0] == ' ' || l[0] == '\t')
	switch {
	case bytes.Equal(bytes.TrimSpace(l), tracebackHead),
		bytes.Contains(l, []byte("Exception Group Traceback (most recent call last):")):
		g.traceback(l, fresh)
	case !blank && !indented && dumpLine.Match(l):
		if g.state != groupDump {
			g.start(groupDump, sd.PriWarning, l)
			if bytes.HasPrefix(l, []byte("Fatal")) {
				g.pri = sd.PriCrit
			}
			return
		}
		g.add(l)
	case g.state == groupFrames:
		g.add(l)
		if !indented && !blank {
			g.state = groupCause
		}
	case g.state == groupCause:
		g.afterCause(l, blank, indented, fresh)
	case g.state == groupGap && !blank && chainLine.Match(l):
		g.add(l)
	case g.state == groupGap && blank:
		g.add(l)
	case g.state == groupDump && (blank || indented):
		g.add(l)
	case g.state == groupPlain && indented && !fresh:
		g.add(l)
	case g.state == groupIntro && indented:
		g.add(l)
	default:
		g.plain(l)
	}
}

// traceback begins one, or goes on with the chain or with the line that announced it.
func (g *grouper) traceback(l []byte, fresh bool) {
	joins := g.state == groupGap || g.state == groupIntro || g.state == groupPlain && !fresh ||
		g.state == groupCause && chainLine.Match(lastLine(g.text)) || g.state == groupFrames
	if !joins {
		g.start(groupFrames, sd.PriErr, l)
		return
	}
	g.add(l)
	g.state = groupFrames
	g.pri = min(g.pri, sd.PriErr)
}

// afterCause takes the line after "ValueError: …": a blank one before a chained traceback, or more
// of the error's message.
func (g *grouper) afterCause(l []byte, blank, indented, fresh bool) {
	switch {
	case blank:
		g.add(l)
		g.state = groupGap
	case indented, !fresh && !headLine.Match(l):
		g.add(l)
	default:
		g.plain(l)
	}
}

func (g *grouper) plain(l []byte) {
	pri := sd.PriInfo
	if len(l) > 3 && l[0] == '<' && l[2] == '>' && l[1] >= '0' && l[1] <= '7' { // sd-daemon(3)
		pri, l = int(l[1]-'0'), l[3:]
	} else if m := levelLine.FindSubmatch(l); m != nil {
		switch m[1][0] {
		case 'C':
			pri = sd.PriCrit
		case 'E':
			pri = sd.PriErr
		case 'W':
			pri = sd.PriWarning
		case 'D':
			pri = sd.PriDebug
		}
	}
	state := groupPlain
	if introLine.Match(l) {
		state = groupIntro
	}
	g.start(state, pri, l)
}

func (g *grouper) start(state groupState, pri int, l []byte) {
	g.flush()
	g.state, g.pri, g.lines = state, pri, 1
	g.text = append(g.text[:0], l...)
}

func (g *grouper) add(l []byte) {
	if g.lines > 0 {
		g.text = append(g.text, '\n')
	}
	g.text = append(g.text, l...)
	g.lines++
}

// chunk ends one read: what can only go on within a write is complete.
func (g *grouper) chunk() {
	if g.state == groupPlain {
		g.flush()
	}
}

// waits reports whether a message is being put together, so that silence has to end it.
func (g *grouper) waits() bool { return g.state != groupNone }

// flush emits what there is.
func (g *grouper) flush() {
	if g.lines > 0 {
		if text := bytes.TrimRight(g.text, "\n"); len(text) > 0 || g.state == groupPlain {
			g.emit(string(text), g.pri)
		}
	}
	g.state, g.lines = groupNone, 0
	g.text = g.text[:0]
	if cap(g.text) > 64<<10 {
		g.text = nil
	}
}

func lastLine(text []byte) []byte { return text[bytes.LastIndexByte(text, '\n')+1:] }
