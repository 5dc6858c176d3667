package accesslog

import (
	"strconv"
	"time"
)

// Strftime appends t in the given format, as strftime(3) of glibc does in the C locale, the flags -
// _ 0 ^ included. What is no conversion stands as it is.
func Strftime(dst []byte, format string, t time.Time) []byte {
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			dst = append(dst, format[i])
			continue
		}
		start := i
		i++
		f := field{t: t}
	flags:
		for ; i < len(format); i++ {
			switch format[i] {
			case '-', '_', '0':
				f.pad = format[i]
			case '^':
				f.upper = true
			case 'E', 'O': // alternative forms, which the C locale does not have
			default:
				break flags
			}
		}
		if i == len(format) {
			return append(dst, format[start:]...)
		}
		at := len(dst)
		var ok bool
		if dst, ok = f.append(dst, format[i]); !ok {
			dst = append(dst, format[start:i+1]...)
			continue
		}
		if f.upper {
			for j := at; j < len(dst); j++ {
				if dst[j] >= 'a' && dst[j] <= 'z' {
					dst[j] -= 'a' - 'A'
				}
			}
		}
	}
	return dst
}

// field is one conversion.
type field struct {
	t     time.Time
	pad   byte // '-', '_' or '0' where the format has one
	upper bool
}

func (f *field) append(dst []byte, verb byte) ([]byte, bool) {
	t := f.t
	switch verb {
	case 'a':
		dst = append(dst, t.Weekday().String()[:3]...)
	case 'A':
		dst = append(dst, t.Weekday().String()...)
	case 'b', 'h':
		dst = append(dst, t.Month().String()[:3]...)
	case 'B':
		dst = append(dst, t.Month().String()...)
	case 'c':
		dst = Strftime(dst, "%a %b %e %H:%M:%S %Y", t)
	case 'C':
		dst = f.number(dst, t.Year()/100, 2, '0')
	case 'd':
		dst = f.number(dst, t.Day(), 2, '0')
	case 'D', 'x':
		dst = Strftime(dst, "%m/%d/%y", t)
	case 'e':
		dst = f.number(dst, t.Day(), 2, '_')
	case 'F':
		dst = Strftime(dst, "%Y-%m-%d", t)
	case 'g', 'G':
		year, _ := t.ISOWeek()
		if verb == 'g' {
			return f.number(dst, year%100, 2, '0'), true
		}
		dst = f.number(dst, year, 1, '0')
	case 'H':
		dst = f.number(dst, t.Hour(), 2, '0')
	case 'I':
		dst = f.number(dst, hour12(t), 2, '0')
	case 'j':
		dst = f.number(dst, t.YearDay(), 3, '0')
	case 'k':
		dst = f.number(dst, t.Hour(), 2, '_')
	case 'l':
		dst = f.number(dst, hour12(t), 2, '_')
	case 'm':
		dst = f.number(dst, int(t.Month()), 2, '0')
	case 'M':
		dst = f.number(dst, t.Minute(), 2, '0')
	case 'n':
		dst = append(dst, '\n')
	case 'p', 'P':
		dst = appendHalf(dst, t, verb == 'P')
	case 'r':
		dst = Strftime(dst, "%I:%M:%S %p", t)
	case 'R':
		dst = Strftime(dst, "%H:%M", t)
	case 's':
		dst = strconv.AppendInt(dst, t.Unix(), 10)
	case 'S':
		dst = f.number(dst, t.Second(), 2, '0')
	case 't':
		dst = append(dst, '\t')
	case 'T', 'X':
		dst = Strftime(dst, "%H:%M:%S", t)
	case 'u':
		dst = f.number(dst, (int(t.Weekday())+6)%7+1, 1, '0')
	case 'U':
		dst = f.number(dst, (t.YearDay()+6-int(t.Weekday()))/7, 2, '0')
	case 'V':
		_, week := t.ISOWeek()
		dst = f.number(dst, week, 2, '0')
	case 'w':
		dst = f.number(dst, int(t.Weekday()), 1, '0')
	case 'W':
		dst = f.number(dst, (t.YearDay()+6-(int(t.Weekday())+6)%7)/7, 2, '0')
	case 'y':
		dst = f.number(dst, t.Year()%100, 2, '0')
	case 'Y':
		dst = f.number(dst, t.Year(), 1, '0')
	case 'z':
		dst = appendOffset(dst, t)
	case 'Z':
		name, _ := t.Zone()
		dst = append(dst, name...)
	case '%':
		dst = append(dst, '%')
	default:
		return dst, false
	}
	return dst, true
}

// number writes n in width places, padded as the conversion does unless the format says otherwise.
func (f *field) number(dst []byte, n, width int, pad byte) []byte {
	if f.pad != 0 {
		pad = f.pad
	}
	var text [20]byte
	digits := strconv.AppendInt(text[:0], int64(n), 10)
	if pad != '-' {
		fill := byte('0')
		if pad == '_' {
			fill = ' '
		}
		for i := len(digits); i < width; i++ {
			dst = append(dst, fill)
		}
	}
	return append(dst, digits...)
}

func hour12(t time.Time) int { return (t.Hour()+11)%12 + 1 }

func appendHalf(dst []byte, t time.Time, lower bool) []byte {
	half := "AM"
	if t.Hour() >= 12 {
		half = "PM"
	}
	if lower {
		return append(dst, half[0]|0x20, half[1]|0x20)
	}
	return append(dst, half...)
}

// appendOffset writes the distance from UTC as +hhmm.
func appendOffset(dst []byte, t time.Time) []byte {
	_, east := t.Zone()
	sign := byte('+')
	if east < 0 {
		sign, east = '-', -east
	}
	n := east/3600*100 + east/60%60
	return append(dst, sign, byte('0'+n/1000%10), byte('0'+n/100%10), byte('0'+n/10%10), byte('0'+n%10))
}
