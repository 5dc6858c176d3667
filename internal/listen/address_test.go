package listen

import (
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
)

func testHost() host {
	return host{
		lookup: func(name string) ([]netip.Addr, error) {
			switch name {
			case "both":
				return []netip.Addr{netip.MustParseAddr("::1"), netip.MustParseAddr("10.0.0.9")}, nil
			case "six":
				return []netip.Addr{netip.MustParseAddr("2001:db8::1")}, nil
			}
			return nil, errors.New("no such host")
		},
		interfaces: func() ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.168.7.2")}, nil
		},
		abs: func(p string) (string, error) {
			if filepath.IsAbs(p) {
				return p, nil
			}
			return "/cwd/" + p, nil
		},
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		in       string
		abstract bool
		key      string
		name     string
	}{
		{":8000", false, "tcp:0.0.0.0:8000", ":8000"},
		{"  :8000", false, "tcp:0.0.0.0:8000", ":8000"},
		{"*:8000", false, "tcp:0.0.0.0:8000", "*:8000"},
		{"0.0.0.0:8000", false, "tcp:0.0.0.0:8000", "0.0.0.0:8000"},
		{"1.2.3.4:0", false, "tcp:1.2.3.4:0", "1.2.3.4:0"},
		{"both:80", false, "tcp:10.0.0.9:80", "both:80"},
		{"six:80", false, "tcp:[2001:db8::1]:80", "six:80"},
		{"[::1]:8000", false, "tcp:[::1]:8000", "[::1]:8000"},
		{"[::]:8000", false, "tcp:[::]:8000", "[::]:8000"},
		{"[fe80::1%lo]:80", false, "tcp:[fe80::1%lo]:80", "[fe80::1%lo]:80"},
		{"192.168.*:81", false, "tcp:192.168.7.2:81", "192.168.7.2:81"},
		{"/run/x.sock", false, "unix:/run/x.sock", "/run/x.sock"},
		{"x.sock", false, "unix:/cwd/x.sock", "x.sock"},
		{"8000", false, "unix:/cwd/8000", "8000"},
		{"/odd:name", false, "unix:/odd:name", "/odd:name"},
		{"@name", false, "abstract:name", "@name"},
		{`\0name`, false, "abstract:name", `\0name`},
		{"/run/x.sock", true, "abstract:/run/x.sock", "/run/x.sock"},
		{"fd://7", false, "fd:7", "fd://7"},
		{"=2", false, "shared:2", "=2"},
	} {
		a, err := testHost().parse(c.in, c.abstract)
		if err != nil {
			t.Errorf("%q: %v", c.in, err)
			continue
		}
		if a.key() != c.key || a.name != c.name {
			t.Errorf("%q: %s named %q, want %s named %q", c.in, a.key(), a.name, c.key, c.name)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "empty",
		"nowhere:80":                   "cannot be resolved",
		":http":                        "not a port",
		":70000":                       "not a port",
		"::1:80":                       "brackets",
		"[::1:80":                      "bracket",
		"[1.2.3.4]:80":                 "not an IPv6",
		"172.*:80":                     "no interface",
		"fd://x":                       "descriptor",
		"=0.0.0.0:8000":                "single =",
		"/" + strings.Repeat("x", 108): "invalid socket name",
		"@":                            "abstract",
	} {
		if _, err := testHost().parse(in, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want …%s…", in, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{":8000", "[::1]:80", "127.0.*:1", "@x", `\0x`, "fd://3", "=1", "/a", "host:1", "[fe80::1%lo]:1"} {
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, in string, abstract bool) {
		a, err := testHost().parse(in, abstract)
		if err != nil {
			return
		}
		if len(a.text) > maxUnixPath || len(a.path) > maxUnixPath && a.kind == kindAbstract ||
			a.port < 0 || a.port > 65535 {
			t.Fatalf("%q: %+v", in, a)
		}
		if a.kind == kindTCP && !a.ip.IsValid() {
			t.Fatalf("%q: no address", in)
		}
	})
}
