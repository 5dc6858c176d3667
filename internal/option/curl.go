package option

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Curl is the argument of the alarm action curl, in the words of uWSGI's plugin.
type Curl struct {
	URL         *url.URL      // http, https, smtp or smtps
	Method      string        // of HTTP; "" = POST
	User, Pass  string        // auth_user, auth_pass
	To          []string      // mail_to
	From        string        // mail_from
	Subject     string        // of a mail
	TLS         bool          // ssl: a mail is not sent without STARTTLS
	Insecure    bool          // ssl_insecure: nobody's certificate is looked at
	Timeout     time.Duration // of the whole; 0 = socket-timeout
	ConnTimeout time.Duration // conn_timeout, of the connection alone; 0 = socket-timeout
}

// ParseCurl reads URL;name=value;… or url=URL;name=value;….
func ParseCurl(arg string) (Curl, error) {
	var c Curl
	address := ""
	for _, part := range strings.Split(arg, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, value, given := strings.Cut(part, "=")
		if address == "" && (!given || strings.Contains(name, "://")) {
			address = part
			continue
		}
		switch name {
		case "url":
			address = value
		case "method":
			c.Method = value
		case "auth_user":
			c.User = value
		case "auth_pass":
			c.Pass = value
		case "mail_to":
			for _, to := range strings.Split(value, ",") {
				c.To = append(c.To, strings.TrimSpace(to))
			}
		case "mail_from":
			c.From = value
		case "subject":
			c.Subject = value
		case "ssl":
			c.TLS = true
		case "ssl_insecure":
			c.Insecure = true
		case "timeout", "conn_timeout":
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 || n > 86400 {
				return c, fmt.Errorf("%s: %q is no number of seconds", name, value)
			}
			field := &c.Timeout
			if name == "conn_timeout" {
				field = &c.ConnTimeout
			}
			*field = time.Duration(n) * time.Second
		default:
			return c, fmt.Errorf("%q is none of url, method, auth_user, auth_pass, mail_to, mail_from, subject, ssl, "+
				"ssl_insecure, timeout and conn_timeout", name)
		}
	}
	if address == "" {
		return c, fmt.Errorf("the URL is missing")
	}
	if !strings.Contains(address, "://") { // curl's guess
		address = "http://" + address
	}
	var err error
	if c.URL, err = url.Parse(address); err != nil {
		return c, err
	}
	mail := false
	switch c.URL.Scheme {
	case "http", "https":
	case "smtp", "smtps":
		mail = true
	default:
		return c, fmt.Errorf("%q is none of http, https, smtp and smtps", c.URL.Scheme)
	}
	if c.URL.Hostname() == "" {
		return c, fmt.Errorf("%q has no host", address)
	}
	if mail && len(c.To) == 0 {
		return c, fmt.Errorf("a mail needs mail_to=ADDRESS")
	}
	for _, text := range append([]string{c.From, c.Subject, c.Method}, c.To...) {
		if strings.ContainsAny(text, "\r\n") {
			return c, fmt.Errorf("%q is more than one line", text)
		}
	}
	return c, nil
}
