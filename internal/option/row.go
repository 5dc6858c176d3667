package option

// Standing says what this server does with an option.
type Standing uint8

// The standings; see the package comment.
const (
	Honoured Standing = iota
	NotNeeded
	Refused
)

// String returns the word used in `uwsgi check --json`.
func (s Standing) String() string {
	switch s {
	case NotNeeded:
		return "not needed"
	case Refused:
		return "refused"
	}
	return "honoured"
}

// Kind says how the value of an option is written.
type Kind uint8

// The kinds. Flag and FlagOff take no argument on the command line; every other kind does (see
// [Row.Optional]).
const (
	Flag       Kind = iota // a boolean; bare = true
	FlagOff                // a boolean stored inverted: disable-logging
	Int                    // a whole number, not negative
	Signed                 // a whole number
	Seconds                // a time in seconds
	Millis                 // a time in milliseconds
	Bytes                  // a size in bytes; k, M and G are understood
	KiB                    // a size in units of 1024 bytes
	MiB                    // a size in units of 1024×1024 bytes
	Percent                // 0 to 100
	Octal                  // permission bits
	Text                   // anything
	Path                   // a file or folder
	Address                // a socket address
	Command                // a shell command: kept to the last byte, no inline comments, the shell has its own
	Template               // a log template: kept to the last byte
	HookLine               // action:argument
	NameValue              // name=value
	ConfigFile             // a configuration file, read where it stands
	Block                  // for, if-*, and what closes them
)

// Raw reports that values of this kind are kept to the last byte: no inline comment is cut, no
// quotes are taken off.
func (k Kind) Raw() bool { return k == Command || k == Template }

// Placeholder is the word that stands for the value in --help and the manual page.
func (k Kind) Placeholder() string {
	switch k {
	case Int, Signed:
		return "N"
	case Seconds:
		return "SECONDS"
	case Millis:
		return "MS"
	case Bytes:
		return "BYTES"
	case KiB:
		return "KIB"
	case MiB:
		return "MIB"
	case Percent:
		return "PERCENT"
	case Octal:
		return "OCTAL"
	case Path:
		return "PATH"
	case Address:
		return "ADDRESS"
	case Command:
		return "COMMAND"
	case Template:
		return "TEMPLATE"
	case HookLine:
		return "ACTION:ARG"
	case NameValue:
		return "NAME=VALUE"
	case ConfigFile:
		return "FILE"
	case Flag, FlagOff:
		return ""
	}
	return "VALUE"
}

// Group is the heading an option stands under in --help and the manual page.
type Group string

// Value is what one pair gives to a row.
type Value struct {
	Name   string // the option as written, an alias perhaps
	Text   string // after all expansion
	Given  bool   // false: a command-line flag without a value
	Origin Origin
}

// Row is one option.
type Row struct {
	Name     string
	Aliases  []string
	Short    byte // the letter of the command line, 0 = none
	Kind     Kind
	Optional bool // on the command line a value comes only attached: --name=value
	Repeat   bool // may stand several times, all count; otherwise the last wins
	Group    Group
	Since    string // uWSGI release that introduced it; "" = 2.0.0 or before, "ours" = not an option of uWSGI
	Help     string
	Unset    string // what holds where nothing sets it, in words, where Initial cannot tell
	Example  string // a value that people write, where the kind's own (see Sample) would say too little
	Standing Standing
	Note     string // NotNeeded: why; Refused: why, and what to use instead
	Fatal    bool   // Refused: start-up must not go on without it
	// Guards: an empty value is no leave to go without it, as in uWSGI: start-up ends. That of any
	// other row asks for nothing.
	Guards  bool
	CLIOnly bool // acts on the command line only, a file cannot ask for it

	// Set fills the settings. It is nil for rows that package config carries out itself. An error
	// that leaves a sound setting behind is an *Error with Warn set.
	Set func(*Settings, Value) error
	// Judge looks at the value of a row that is not honoured: an error says that this value is
	// worse (or plainly wrong) than the row's standing says. nil = the standing says all.
	Judge func(Value) error
}

// TakesValue reports whether the command line expects a value after the option.
func (r *Row) TakesValue() bool { return r.Kind != Flag && r.Kind != FlagOff && !r.Optional }

// Names returns the name and all aliases.
func (r *Row) Names() []string { return append([]string{r.Name}, r.Aliases...) }
