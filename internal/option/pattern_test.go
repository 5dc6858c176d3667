package option

import (
	"testing"
)

func TestPattern(t *testing.T) {
	for _, c := range []struct {
		pattern  string
		yes, not []string
	}{
		{`^/static/\d+`, []string{"/static/1"}, []string{"/static/x", "x/static/1"}},
		{`^((?!\{).)*$`, []string{"plain", ""}, []string{`{"a":1}`, "a {"}},
		{`^(?:(?!GET|HEAD).)+$`, []string{"POST /"}, []string{"GET /", "a HEAD"}},
		{`((?!\{).)*$`, []string{"plain", `{"a":1}`}, nil},
		{`^(?!GET)`, []string{"POST", ""}, []string{"GET /"}},
		{`^(?!.*health)/api/(\w+)`, []string{"/api/users"}, []string{"/api/health", "/x"}},
		{`^(?!/a(b|[)c])x)(?=.*z)/`, []string{"/abyz", "/z"}, []string{"/abxz", "/acxz", "/a)xz", "/aby"}},
		{`(?i)^(?!get)[a-z]`, []string{"post", "POST"}, []string{"Get", "1"}},
		{`^(?!a)(?!b)`, []string{"c"}, []string{"a", "b"}},
	} {
		p, err := CompilePattern(c.pattern)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, s := range c.yes {
			if !p.MatchString(s) || !p.Match([]byte(s)) {
				t.Errorf("%s does not match %q", c.pattern, s)
			}
		}
		for _, s := range c.not {
			if p.MatchString(s) || p.Match([]byte(s)) {
				t.Errorf("%s matches %q", c.pattern, s)
			}
		}
	}
	for _, bad := range []string{`(`, `a(?!b)`, `(a)\1`, `^(?!a`, `^(?!(?<=x)y)z`, `^(?!a)(`, `(?<!x)y`} {
		if p, err := CompilePattern(bad); err == nil {
			t.Errorf("%s is read as %v", bad, p)
		}
	}
}
