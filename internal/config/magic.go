package config

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// magic holds what the %x variables of one file stand for. They are replaced in the file's text, so
// that they work in include too.
type magic struct {
	r       *reader
	name    string // as written
	section string
	path    string // absolute; "" for standard input and schemes
}

func (r *reader) newMagic(name, section string) *magic {
	m := &magic{r: r, name: name, section: section}
	if name == "-" || strings.Contains(name, "://") {
		return m
	}
	m.path = r.abs(name)
	// A link is taken for what it is called; folders on the way are followed.
	if st, err := r.host.Lstat(m.path); err == nil && st.Mode()&fs.ModeSymlink == 0 {
		if real, err := r.host.Realpath(m.path); err == nil {
			m.path = real
		}
	}
	return m
}

// dir is the folder of the file with a slash at the end.
func (m *magic) dir() string {
	if m.path == "" {
		return ""
	}
	d, _ := filepath.Split(m.path)
	return d
}

// lookup returns what %c stands for; ok is false for a letter without a meaning.
func (m *magic) lookup(c byte) (value string, ok bool) {
	if c >= 'A' && c <= 'Z' && strings.IndexByte("ODSPCENXIJ", c) >= 0 {
		top := m.r.top
		if top == nil {
			top = m
		}
		return top.lookup(c + 'a' - 'A')
	}
	h := &m.r.host
	base := filepath.Base(m.path)
	if m.path == "" {
		base = ""
	}
	switch c {
	case 'v':
		return m.r.cwd, true
	case 'p':
		return m.path, true
	case 'd':
		return m.dir(), true
	case 's':
		return base, true
	case 'n':
		return strings.TrimSuffix(base, filepath.Ext(base)), true
	case 'e':
		return strings.TrimPrefix(filepath.Ext(base), "."), true
	case 'c':
		if m.path == "" {
			return "", true
		}
		return filepath.Base(filepath.Clean(m.dir())), true
	case '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		parts := strings.Split(strings.Trim(m.dir(), "/"), "/")
		if n := int(c - '0'); n < len(parts) {
			return parts[n], true
		}
		return "", true
	case 'o':
		return m.name, true
	case 'x':
		return m.section, true
	case 'i':
		if st, err := h.Stat(m.path); err == nil && m.path != "" {
			if sys, ok := st.Sys().(*syscall.Stat_t); ok {
				return strconv.FormatUint(sys.Ino, 10), true
			}
		}
		return "", true
	case 'j':
		if m.path == "" {
			return "", true
		}
		return pathHash(m.path), true
	case 'h':
		name, _ := h.Hostname()
		return name, true
	case 'u':
		id, _ := h.User()
		return strconv.Itoa(id), true
	case 'U':
		_, name := h.User()
		return name, true
	case 'g':
		id, _ := h.Group()
		return strconv.Itoa(id), true
	case 'G':
		_, name := h.Group()
		return name, true
	case 'k':
		return strconv.Itoa(h.CPUs()), true
	case 't':
		return strconv.FormatInt(h.Now().Unix(), 10), true
	case 'T':
		return strconv.FormatInt(h.Now().UnixMicro(), 10), true
	case 'V':
		return h.Version, true
	case 'b':
		path, _ := h.Executable()
		return path, true
	case '[':
		return "\x1b", true
	}
	return "", false
}

// magicTable is what uwsgi.magic_table shows: all variables of the first file that have a value.
func (r *reader) magicTable() map[string]string {
	m := r.top
	if m == nil {
		m = &magic{r: r}
	}
	table := map[string]string{"%": "%", "(": "%("}
	for _, c := range []byte("0123456789ODSPCENXIJvpdsnecoxijhuUgGktTVb[") {
		if value, ok := m.lookup(c); ok && value != "" {
			table[string(rune(c))] = value
		}
	}
	return table
}

// pathHash is uWSGI's djb33x of a path as 8 hex digits of its little-endian bytes.
func pathHash(path string) string {
	h := uint32(5381)
	for i := 0; i < len(path); i++ {
		h = h*33 ^ uint32(path[i])
	}
	return fmt.Sprintf("%02X%02X%02X%02X", byte(h), byte(h>>8), byte(h>>16), byte(h>>24))
}

// expand replaces the magic variables of one line, the key or the value of key. What uWSGI removes
// without a word is removed and reported; a "%" at the end stays, where uWSGI joins the next line.
func (m *magic) expand(f *file, line int, key, s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+1 == len(s) {
			b.WriteByte('%')
			f.r.doubt(f.pair(line, key, s), "write %% for a percent sign",
				fmt.Errorf("a percent sign at the end of the line"))
			break
		}
		i++
		switch c := s[i]; c {
		case '%':
			b.WriteByte('%')
		case '(':
			b.WriteString("%(")
		default:
			value, ok := m.lookup(c)
			b.WriteString(value)
			if !ok || value == "" && c >= '0' && c <= '9' {
				f.r.doubt(f.pair(line, key, s), fmt.Sprintf("write %%%%%c for the characters themselves", c),
					fmt.Errorf("%%%c has no meaning here and is taken out", c))
			}
		}
	}
	return b.String()
}

// expandText replaces the magic variables of a whole text whose lines stay in their places.
func (m *magic) expandText(f *file, text string) string {
	if strings.IndexByte(text, '%') < 0 {
		return text
	}
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = m.expand(f, i+1, "", lines[i])
	}
	return strings.Join(lines, "\n")
}
