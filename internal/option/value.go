package option

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Bool reads a boolean as uWSGI does: false is 0, false, no or off in any letter case, everything
// else is true. A value that is no boolean word gets a warning.
func (v Value) Bool() (bool, error) {
	if !v.Given {
		return true, nil
	}
	switch word := strings.ToLower(v.Text); word {
	case "0", "false", "no", "off":
		return false, nil
	case "", "1", "true", "yes", "on":
		return true, nil
	case "n", "none", "never", "disabled", "disable", "f", "nil", "null":
		return true, warning("write false, no, off or 0 to switch it off", "%q is read as true", v.Text)
	}
	return true, warning("write true or false", "%q is no boolean; it is read as true, as uWSGI does", v.Text)
}

// IsBoolWord reports whether s is one of the words people write for a boolean (numbers are not
// among them).
func IsBoolWord(s string) bool {
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off":
		return true
	}
	return false
}

// number reads a decimal prefix as C's atoi does and returns the rest after it.
func number(text string) (n int64, rest string, ok bool) {
	s := strings.TrimLeft(text, " \t")
	end := 0
	if end < len(s) && (s[0] == '-' || s[0] == '+') {
		end++
	}
	digits := end
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	if end == digits {
		return 0, s, false
	}
	n, err := strconv.ParseInt(s[:end], 10, 64)
	if err != nil { // out of range: the nearest there is
		n = math.MaxInt64
		if s[0] == '-' {
			n = math.MinInt64
		}
	}
	return n, strings.TrimSpace(s[end:]), true
}

// units maps what may stand behind a number to its factor.
type units map[string]int64

var (
	plainUnits  = units{}
	secondUnits = units{"s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1, "m": 60, "min": 60, "h": 3600,
		"d": 86400}
	milliUnits = units{"ms": 1}
	byteUnits  = units{"b": 1, "k": 1 << 10, "kb": 1 << 10, "kib": 1 << 10, "m": 1 << 20, "mb": 1 << 20,
		"mib": 1 << 20, "g": 1 << 30, "gb": 1 << 30, "gib": 1 << 30}
	kibUnits = units{"k": 1, "kb": 1, "kib": 1, "m": 1 << 10, "mb": 1 << 10, "mib": 1 << 10}
	mibUnits = units{"m": 1, "mb": 1, "mib": 1, "g": 1 << 10, "gb": 1 << 10, "gib": 1 << 10}
)

// whole reads a whole number in the given units. What uWSGI silently took for something else gets a
// warning. So does a negative number, which uWSGI refuses for some options and takes for no limit
// with others.
func (v Value) whole(u units, unit string) (int64, error) {
	text := strings.TrimSpace(v.Text)
	if !v.Given {
		return 1, nil // an optional value left out on the command line counts as 1
	}
	n, rest, ok := number(text)
	if !ok {
		return 0, v.notANumber(unit)
	}
	if n < 0 {
		return 0, warning("write 0 or more", "%d is negative; it counts as 0", n)
	}
	if rest == "" {
		return n, nil
	}
	factor, known := u[strings.ToLower(rest)]
	if !known {
		meant := strconv.FormatInt(n, 10)
		if m := thousands.FindStringSubmatch(text); m != nil {
			meant = m[1] + m[2]
		}
		return n, warning("write "+meant, "%q after the number is not understood and left out", rest)
	}
	if n > math.MaxInt64/factor {
		return 0, fault("", "%q is out of range", text)
	}
	if factor != 1 {
		return n * factor, warning("write the bare number to be read alike everywhere",
			"%q is read as %d; uWSGI would stop at the number and take %d", text, n*factor, n)
	}
	return n, nil
}

// thousands is a number with a sign between its thousands.
var thousands = regexp.MustCompile(`^(\d{1,3})[,._ ](\d{3})$`)

func (v Value) notANumber(unit string) error {
	want := "a number"
	if unit != "" {
		want += " of " + unit
	}
	switch low := strings.ToLower(strings.TrimSpace(v.Text)); {
	case low == "":
		return warning("write "+v.Name+" = N", "%s is expected; without one it counts as 0", want)
	case low == "false" || low == "no" || low == "off":
		return warning("write 0", "%s is expected; %q counts as 0", want, v.Text)
	case IsBoolWord(low):
		return warning("write "+v.Name+" = N", "%s is expected, not a boolean; it counts as 0, as in uWSGI", want)
	case strings.Contains(low, "$("):
		return warning("set the variable, or give a default with if-not-env",
			"%s is expected, but the environment variable is not set; it counts as 0", want)
	case strings.Contains(low, "%("):
		return warning("define the name before or after this line",
			"%s is expected, but the placeholder is not defined; it counts as 0", want)
	}
	return warning("write "+v.Name+" = N", "%s is expected; it counts as 0, as in uWSGI", want)
}

// The setters below return a Row.Set for a field of the settings.

func flag(field func(*Settings) *bool) func(*Settings, Value) error {
	return func(s *Settings, v Value) (err error) {
		*field(s), err = v.Bool()
		return err
	}
}

// checked is the setter of what is so whatever the option says, or carried out elsewhere; it only
// looks whether a boolean is given.
func checked(_ *Settings, v Value) error {
	_, err := v.Bool()
	return err
}

func flagOff(field func(*Settings) *bool) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		b, err := v.Bool()
		*field(s) = !b
		return err
	}
}

func whole[T int | int64](u units, unit string, factor int64, field func(*Settings) *T) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		n, err := v.whole(u, unit)
		if survivable(err) {
			if n > math.MaxInt64/factor {
				return fault("", "%q is out of range", v.Text)
			}
			*field(s) = T(n * factor)
		}
		return err
	}
}

func integer[T int | int64](field func(*Settings) *T) func(*Settings, Value) error {
	return whole(plainUnits, "", 1, field)
}

func sizeBytes[T int | int64](field func(*Settings) *T) func(*Settings, Value) error {
	return whole(byteUnits, "bytes", 1, field)
}

func sizeKiB[T int | int64](field func(*Settings) *T) func(*Settings, Value) error {
	return whole(kibUnits, "KiB", 1<<10, field)
}

func sizeMiB[T int | int64](field func(*Settings) *T) func(*Settings, Value) error {
	return whole(mibUnits, "MiB", 1<<20, field)
}

// maxSpan is the longest time there is: nobody waits for it, and the moment when it is over can be
// counted in nanoseconds.
const maxSpan = 10 * 365 * 24 * time.Hour

func span(u units, unit string, scale time.Duration, field func(*Settings) *time.Duration) func(*Settings,
	Value) error {
	return func(s *Settings, v Value) error {
		n, err := v.whole(u, unit)
		if n > int64(maxSpan/scale) && survivable(err) {
			*field(s) = maxSpan
			return warning("write less", "%q is more than ten years, which it is read as", v.Text)
		}
		if survivable(err) {
			*field(s) = time.Duration(n) * scale
		}
		return err
	}
}

func seconds(field func(*Settings) *time.Duration) func(*Settings, Value) error {
	return span(secondUnits, "seconds", time.Second, field)
}

func millis(field func(*Settings) *time.Duration) func(*Settings, Value) error {
	return span(milliUnits, "milliseconds", time.Millisecond, field)
}

func text(field func(*Settings) *string) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		*field(s) = v.Text
		return nil
	}
}

func list(field func(*Settings) *[]string) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		*field(s) = append(*field(s), v.Text)
		return nil
	}
}

// patterns is a list of regular expressions.
func patterns(field func(*Settings) *[]string) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		if _, err := CompilePattern(v.Text); err != nil {
			return leftOut(err)
		}
		*field(s) = append(*field(s), v.Text)
		return nil
	}
}

// leftOut is for a line whose pattern cannot be read: the server works without it.
func leftOut(err error) error {
	return &Error{Err: err, Hint: "the line is left out", Warn: true}
}

// mode is three octal digits; an optional leading zero is taken off. "1", or the flag of the
// command line alone, is 666, as in uWSGI.
func mode(field func(*Settings) *string) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		t := strings.TrimSpace(v.Text)
		if !v.Given || t == "1" {
			*field(s) = "666"
			return nil
		}
		digits := t
		if len(digits) == 4 && digits[0] == '0' {
			digits = digits[1:]
		}
		if len(digits) != 3 || strings.Trim(digits, "01234567") != "" {
			return fault("write three octal digits, such as 660", "%q is no permission mode", v.Text)
		}
		*field(s) = digits
		return nil
	}
}

// pairOf splits name=value at the first "="; blanks around the sign stay, as uWSGI keeps them.
func pairOf(v Value, example string) (string, string, error) {
	name, value, ok := strings.Cut(v.Text, "=")
	if !ok {
		return "", "", fault("write "+v.Name+" = "+example, "%q has no \"=\"", v.Text)
	}
	return name, value, nil
}

// cutBlank splits at the first run of blanks.
func cutBlank(s string) (first, rest string, ok bool) {
	s = strings.TrimLeft(s, " \t")
	at := strings.IndexAny(s, " \t")
	if at < 0 {
		return s, "", false
	}
	return s[:at], strings.TrimLeft(s[at:], " \t"), true
}
