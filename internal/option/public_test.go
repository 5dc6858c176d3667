package option

import (
	"errors"
	"testing"
)

// TestPublic: no password reaches a log.
func TestPublic(t *testing.T) {
	for text, want := range map[string]string{
		"redis://:pw@host:1/0?name=x":                       "redis://:xxxxx@host:1/0?name=x",
		"name=a,url=rediss://me:p@w:1@host/0,items=1":       "name=a,url=rediss://me:xxxxx@host/0,items=1",
		"x curl:smtp://me:pw@h;auth_pass=p w;mail_to=a@b.c": "x curl:smtp://me:xxxxx@h;auth_pass=xxxxx;mail_to=a@b.c",
		"x curl:http://host:80/a@b;auth_user=me":            "x curl:http://host:80/a@b;auth_user=me",
		"/static=/srv/www":                                  "/static=/srv/www",
		"127.0.0.1:8000":                                    "127.0.0.1:8000",
		"first redis://:a@h then redis://:b@h":              "first redis://:xxxxx@h then redis://:xxxxx@h",
	} {
		if got := Public(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	err := Wrong("spooler", "redis://:pw@host", errors.New(`"redis://:pw@host" is away`))
	if want := `spooler = redis://:xxxxx@host: "redis://:xxxxx@host" is away`; err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
