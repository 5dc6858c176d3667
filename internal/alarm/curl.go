package alarm

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/smtp"
	"os"
	"strings"
	"time"

	"uwsgi/internal/crash"
	"uwsgi/internal/option"
)

// newSender is the action curl: a request or a mail.
func newSender(c option.Curl, patience time.Duration) func(context.Context, string) error {
	if c.Timeout == 0 {
		c.Timeout = patience
	}
	if c.ConnTimeout == 0 {
		c.ConnTimeout = patience
	}
	dial := (&net.Dialer{Timeout: c.ConnTimeout}).DialContext
	secure := &tls.Config{InsecureSkipVerify: c.Insecure, ServerName: c.URL.Hostname()}
	send := func(ctx context.Context, message string) error { return mail(ctx, c, dial, secure, message) }
	if strings.HasPrefix(c.URL.Scheme, "http") {
		client := &http.Client{
			Transport: &http.Transport{DialContext: dial, TLSClientConfig: secure, Proxy: http.ProxyFromEnvironment,
				DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		send = func(ctx context.Context, message string) error { return request(ctx, c, client, message) }
	}
	return func(ctx context.Context, message string) error {
		ctx, cancel := context.WithTimeout(ctx, c.Timeout)
		defer cancel()
		return send(ctx, message)
	}
}

// request sends a message as the body of an HTTP request.
func request(ctx context.Context, c option.Curl, client *http.Client, message string) error {
	method := c.Method
	if method == "" {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(ctx, method, c.URL.String(), strings.NewReader(message))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded") // what curl says
	r.Header.Set("User-Agent", "uwsgi")
	if c.User != "" {
		r.SetBasicAuth(c.User, c.Pass)
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10))
	if answer.StatusCode >= 400 {
		return fmt.Errorf("%s %s: %s", method, c.URL.Redacted(), answer.Status)
	}
	return nil
}

// mail sends a message by SMTP (RFC 5321); smtps is TLS from the first byte on, else STARTTLS is
// used where it is offered, or with ssl demanded.
func mail(ctx context.Context, c option.Curl, dial func(context.Context, string, string) (net.Conn, error),
	secure *tls.Config, message string) error {
	port := c.URL.Port()
	switch {
	case port != "":
	case c.URL.Scheme == "smtps":
		port = "465"
	default:
		port = "25"
	}
	plain, err := dial(ctx, "tcp", net.JoinHostPort(c.URL.Hostname(), port))
	if err != nil {
		return err
	}
	defer plain.Close()
	defer context.AfterFunc(ctx, crash.Guarded(func() { plain.Close() }))()
	conn := plain
	if c.URL.Scheme == "smtps" {
		conn = tls.Client(plain, secure)
	}
	client, err := smtp.NewClient(conn, c.URL.Hostname())
	if err != nil {
		return err
	}
	defer client.Close()
	if host, err := os.Hostname(); err == nil {
		if err := client.Hello(host); err != nil {
			return err
		}
	}
	if c.URL.Scheme == "smtp" {
		if offered, _ := client.Extension("STARTTLS"); offered {
			err = client.StartTLS(secure)
		} else if c.TLS {
			err = errors.New("STARTTLS is not offered")
		}
		if err != nil {
			return err
		}
	}
	user, pass := c.User, c.Pass
	if user == "" && c.URL.User != nil {
		user = c.URL.User.Username()
		pass, _ = c.URL.User.Password()
	}
	if user != "" {
		if err := client.Auth(smtp.PlainAuth("", user, pass, c.URL.Hostname())); err != nil {
			return err
		}
	}
	if err := client.Mail(c.From); err != nil {
		return err
	}
	for _, to := range c.To {
		if err := client.Rcpt(to); err != nil {
			return err
		}
	}
	w, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(letter(c, message)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return client.Quit()
}

// letter is a message with the head of a mail.
func letter(c option.Curl, message string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "To: %s\r\n", strings.Join(c.To, ","))
	if c.From != "" {
		fmt.Fprintf(&b, "From: %s\r\n", c.From)
	}
	if c.Subject != "" {
		fmt.Fprintf(&b, "Subject: %s\r\n", c.Subject)
	}
	fmt.Fprintf(&b, "Date: %s\r\n\r\n", time.Now().Format(time.RFC1123Z))
	b.WriteString(message)
	return b.Bytes()
}
