package alarm

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"uwsgi/internal/option"
	"uwsgi/internal/testlog"
)

func TestHTTP(t *testing.T) {
	seen := testlog.New()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		user, pass, _ := r.BasicAuth()
		seen.Add(fmt.Sprintf("%s %s %s %s:%s %q", r.Method, r.URL, r.Header.Get("Content-Type"), user, pass, body))
		switch r.URL.Path {
		case "/wrong":
			w.WriteHeader(500)
		case "/away":
			http.Redirect(w, r, "/there", http.StatusFound)
		}
	}))
	defer s.Close()
	host := strings.TrimPrefix(s.URL, "http://")
	a, out := start(t, option.AlarmSettings{Alarms: []option.Alarm{
		{Name: "plain", Action: "curl", Arg: host + "/plain"},
		{Name: "put", Action: "curl", Arg: "url=" + s.URL + "/put?a=b;method=PUT;auth_user=me;auth_pass=pw;timeout=60"},
		{Name: "away", Action: "curl", Arg: s.URL + "/away"},
		{Name: "wrong", Action: "curl", Arg: s.URL + "/wrong"},
	}}, nil)
	for _, name := range []string{"plain", "put", "away", "wrong"} {
		a.Raise(name, "it's "+name)
	}
	seen.Wait(`POST /plain application/x-www-form-urlencoded : "it's plain"`)
	seen.Wait(`PUT /put?a=b application/x-www-form-urlencoded me:pw "it's put"`)
	out.Wait("[uwsgi-alarm] alarm wrong: " + s.URL + "/wrong: (22) The requested URL returned error: 500")
	a.Close()
	if seen.Count("POST /away") != 1 || seen.Count("GET /there") != 0 {
		t.Error(seen)
	}
}

// mailServer takes mails for one connection, without TLS; what it hears is in heard.
func mailServer(t *testing.T) (addr string, heard *testlog.Lines) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	heard = testlog.New()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprint(c, "220 test\r\n")
		data := false
		for in := bufio.NewScanner(c); in.Scan(); {
			line := in.Text()
			heard.Add(line)
			switch {
			case data && line != ".":
				continue
			case line == "DATA":
				data = true
				fmt.Fprint(c, "354 go on\r\n")
				continue
			case strings.HasPrefix(line, "EHLO"):
				fmt.Fprint(c, "250-test\r\n250 8BITMIME\r\n")
				continue
			}
			data = false
			fmt.Fprint(c, "250 well\r\n")
		}
	}()
	return l.Addr().String(), heard
}

// TestMail: a mail is sent by SMTP, with uWSGI's head.
func TestMail(t *testing.T) {
	addr, heard := mailServer(t)
	a, out := start(t, option.AlarmSettings{Alarms: []option.Alarm{
		{Name: "m", Action: "curl", Arg: "smtp://" + addr + ";mail_to=a@x.example,b@x.example;mail_from=me@x.example;subject=Look here"}}}, nil)
	a.Raise("m", ".one\ntwo")
	heard.Wait("QUIT")
	a.Close()
	text := heard.String()
	for _, want := range []string{"MAIL FROM:<me@x.example>",
		"RCPT TO:<a@x.example>\nRCPT TO:<b@x.example>\nDATA\nTo: a@x.example,b@x.example\n" +
			"From: me@x.example\nSubject: Look here\nDate: ", "\n\n..one\ntwo\n.\nQUIT"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s\n%s", want, text, out)
		}
	}
}

// TestMailNeedsTLS: with ssl nothing is sent in the clear.
func TestMailNeedsTLS(t *testing.T) {
	addr, heard := mailServer(t)
	a, out := start(t, option.AlarmSettings{Alarms: []option.Alarm{
		{Name: "m", Action: "curl", Arg: "smtp://" + addr + ";mail_to=a@x.example;ssl=1"}}}, nil)
	a.Raise("m", "secret")
	out.Wait("[uwsgi-alarm] alarm m: smtp://" + addr + ": (64) ")
	if strings.Contains(heard.String(), "MAIL") {
		t.Error(heard)
	}
}
