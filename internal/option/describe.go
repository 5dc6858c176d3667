package option

import (
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Sample is a value that people write for the option: its Example, else one of its kind; "" where
// it takes none.
func (r *Row) Sample() string {
	if r.Example != "" || r.Kind == Flag || r.Kind == FlagOff {
		return r.Example
	}
	switch r.Kind {
	case Int, Signed:
		return "4"
	case Seconds:
		return "30"
	case Millis:
		return "500"
	case Bytes:
		return "65536"
	case KiB:
		return "1024"
	case MiB:
		return "512"
	case Percent:
		return "50"
	case Octal:
		return "660"
	case Path:
		return "/srv/mysite/" + r.Name
	case Address:
		return "127.0.0.1:8000"
	case Command:
		return "logger mysite"
	case HookLine:
		return "exec:logger mysite"
	}
	return ""
}

// Initial is the value that holds where nobody sets the option, in the form a line of it has; ""
// where that is none, or not one value: the setter fills several fields.
func (r *Row) Initial() string {
	if r.Set == nil {
		return ""
	}
	if r.Kind == Flag || r.Kind == FlagOff {
		return r.initialFlag()
	}
	for _, probe := range []string{"7", "13", "8192", r.Sample()} { // at least one is not the default
		s := Default()
		if !survivable(r.Set(s, Value{Name: r.Name, Text: probe, Given: true})) {
			continue
		}
		changed := differing(reflect.ValueOf(Default()).Elem(), reflect.ValueOf(s).Elem())
		if len(changed) == 1 {
			return written(changed[0], r.Kind)
		}
	}
	return ""
}

// initialFlag is the word that changes nothing where its opposite does.
func (r *Row) initialFlag() string {
	same := func(word string) bool {
		s := Default()
		err := r.Set(s, Value{Name: r.Name, Text: word, Given: true})
		return survivable(err) && reflect.DeepEqual(s, Default())
	}
	switch yes, no := same("true"), same("false"); {
	case yes && !no:
		return "true"
	case no && !yes:
		return "false"
	}
	return ""
}

// differing are the fields of a that are not the same in b; a list is one field.
func differing(a, b reflect.Value) []reflect.Value {
	if a.Kind() != reflect.Struct {
		if reflect.DeepEqual(a.Interface(), b.Interface()) {
			return nil
		}
		return []reflect.Value{a}
	}
	var all []reflect.Value
	for i := range a.NumField() {
		all = append(all, differing(a.Field(i), b.Field(i))...)
	}
	return all
}

// unitOf are the kinds that count something else than the field that they fill.
var unitOf = map[Kind]int64{Seconds: int64(time.Second), Millis: int64(time.Millisecond), KiB: 1 << 10, MiB: 1 << 20}

// written is a field's value as a line of that kind has it; "" for a zero, which is "not set".
func written(v reflect.Value, k Kind) string {
	switch {
	case v.IsZero():
		return ""
	case v.CanInt() && v.Int() < 0:
		return ""
	case v.CanInt():
		unit := max(unitOf[k], 1)
		if v.Int()%unit != 0 {
			return strconv.FormatFloat(float64(v.Int())/float64(unit), 'g', -1, 64)
		}
		return strconv.FormatInt(v.Int()/unit, 10)
	case v.Kind() == reflect.String:
		return v.String()
	}
	return ""
}

// Means says in words what a value of the kind is; "" where the placeholder says all.
func (k Kind) Means() string {
	switch k {
	case Flag, FlagOff:
		return "true or false; the bare name is true"
	case Int, Signed:
		return "a whole number"
	case Seconds:
		return "a time in seconds"
	case Millis:
		return "a time in milliseconds"
	case Bytes:
		return "a size in bytes; 64k and 10M are understood"
	case KiB, MiB:
		return "a size in " + strings.TrimSuffix(k.Placeholder(), "IB") + "iB"
	case Percent:
		return "0 to 100"
	case Octal:
		return "permissions, three octal digits"
	case Path:
		return "a file or a folder"
	case Address:
		return "IP:PORT, :PORT, [IPv6]:PORT or the path of a unix socket"
	case Command:
		return "a shell command"
	case Template:
		return "a template, kept to the last byte"
	case HookLine:
		return "an action and its argument, such as exec:COMMAND"
	case NameValue:
		return "a name and a value"
	case ConfigFile:
		return "a configuration file"
	}
	return ""
}
