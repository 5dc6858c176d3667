package alarm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"uwsgi/internal/option"
	"uwsgi/internal/sys"
)

// curl sends a message as the body of an HTTP request, or as a mail, by curl(1): an HTTP client and
// TLS in this program would cost every instance three megabytes. What it is to do stands on its
// standard input, where nobody else sees a password.
func (a *Alarms) curl(ctx context.Context, c option.Curl, message string) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	mail := !strings.HasPrefix(c.URL.Scheme, "http")
	if mail {
		message = letter(c, message)
	}
	fd, err := sys.Memfd("alarm", int64(len(message)))
	if err != nil {
		return err
	}
	body := os.NewFile(uintptr(fd), "alarm")
	defer body.Close()
	if _, err := body.WriteAt([]byte(message), 0); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "curl", "--config", "-")
	cmd.Stdin = strings.NewReader(curlConfig(c, mail))
	cmd.ExtraFiles = append(cmd.ExtraFiles, body)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.env.Credential, Setpgid: true}
	cmd.WaitDelay = time.Second
	var said bytes.Buffer
	cmd.Stderr = &said
	if a.env.Environ != nil {
		cmd.Env = a.env.Environ()
	}
	if err = cmd.Run(); err == nil || errors.Is(err, syscall.ECHILD) { // another one has waited for it
		return nil
	}
	if line := strings.TrimPrefix(strings.TrimSpace(said.String()), "curl: "); line != "" {
		err = errors.New(line)
	}
	return fmt.Errorf("%s: %w", c.URL.Redacted(), err)
}

// curlConfig is the configuration for one transfer, as curl(1) reads it (-K); the body is
// descriptor 3.
func curlConfig(c option.Curl, mail bool) string {
	var b strings.Builder
	flag := func(name string, on bool) {
		if on {
			b.WriteString(name + "\n")
		}
	}
	set := func(name, value string) {
		if value != "" {
			b.WriteString(name + ` = "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`).Replace(value) + "\"\n")
		}
	}
	flag("silent", true)
	flag("show-error", true)
	flag("fail", true)
	flag("insecure", c.Insecure)
	set("output", "/dev/null")
	set("url", c.URL.String())
	set("max-time", strconv.FormatFloat(c.Timeout.Seconds(), 'f', -1, 64))
	set("connect-timeout", strconv.FormatFloat(c.ConnTimeout.Seconds(), 'f', -1, 64))
	if c.User != "" {
		set("user", c.User+":"+c.Pass)
	}
	if !mail {
		set("user-agent", "uwsgi")
		set("request", c.Method)
		set("data-binary", "@/dev/fd/3")
		return b.String()
	}
	flag("ssl", !c.TLS)
	flag("ssl-reqd", c.TLS)
	flag("crlf", true)
	set("mail-from", c.From)
	for _, to := range c.To {
		set("mail-rcpt", to)
	}
	set("upload-file", "/dev/fd/3")
	return b.String()
}

// letter is a message with the head of a mail.
func letter(c option.Curl, message string) string {
	head := "To: " + strings.Join(c.To, ",") + "\n"
	if c.From != "" {
		head += "From: " + c.From + "\n"
	}
	if c.Subject != "" {
		head += "Subject: " + c.Subject + "\n"
	}
	return head + "Date: " + time.Now().Format(time.RFC1123Z) + "\n\n" + message
}
