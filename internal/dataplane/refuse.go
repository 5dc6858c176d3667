package dataplane

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"uwsgi/internal/request"
)

// Texts of the statuses that the server itself gives (RFC 9110 §15).
var statusTexts = map[int]string{
	400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout",
	413: "Content Too Large",
	414: "URI Too Long", 416: "Range Not Satisfiable", 417: "Expectation Failed", 426: "Upgrade Required",
	431: "Request Header Fields Too Large",
	500: "Internal Server Error", 501: "Not Implemented", 503: "Service Unavailable", 504: "Gateway Timeout",
	505: "HTTP Version Not Supported", 507: "Insufficient Storage",
}

func statusText(status int) string {
	if t, ok := statusTexts[status]; ok {
		return t
	}
	return "Error"
}

// errorResponse is a whole answer that ends the connection; id is that of the request where the
// protocol has records. Without one there is nobody to answer, and it is nil.
func (p *protocol) errorResponse(id uint16, status int) []byte {
	if p.records != nil && id == 0 {
		return nil
	}
	text, _ := p.errorText(status)
	if r := p.records; r != nil {
		return r.end(r.append(nil, id, text), id)
	}
	return text
}

// errorText is a whole response and where its body begins.
func (p *protocol) errorText(status int) (text []byte, head int) {
	body := statusText(status) + "\n"
	start, end := cmp.Or(p.start, "HTTP/1.1 "), "\r\n\r\n"
	if status == 503 {
		end = "\r\nRetry-After: 1\r\n\r\n"
	}
	if p.delimits {
		end = "\r\nConnection: close" + end
	}
	text = []byte(start + strconv.Itoa(status) + " " + statusText(status) +
		"\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " +
		strconv.Itoa(len(body)) + end + body)
	return text, len(text) - len(body)
}

// sendError answers the request in hand, and nothing may follow on its connection.
func (c *conn) sendError(status int) {
	if p := c.lis.proto.errorResponse(c.id, status); p != nil {
		c.send(p, 0)
	}
}

// dismiss answers a connection whose request nobody has looked at. What has come of it is read
// first, since close() would reset the connection, and lose the answer, if bytes were left unread.
func (c *conn) dismiss(status int) {
	var buf [16 << 10]byte
	c.recv(buf[:])
	c.id = 0
	c.sendError(status)
}

// refuse answers a request that cannot be served and ends its connection: what follows on it cannot
// be trusted to start where it seems to (RFC 9112 §11.2).
func (c *Core) refuse(cn *conn, err error, answer bool) step {
	status, reason := refusal(err), err.Error()
	if !answer {
		c.eng.close(cn)
		return stepClosed
	}
	c.eng.house.note("refused a request from %s on %s with %d: %s", cn.peer.Addr, cn.lis.Name, status, reason)
	c.x.cell.ReadErrs.Add(1)
	cn.body.reset() // before the answer: who reads it may take it that the room is free
	cn.sendError(status)
	cn.in, cn.req = nil, nil
	c.eng.house.linger(cn)
	return stepClosed
}

// refusal is the status for a request that err was found with.
func refusal(err error) int {
	var re *request.Error
	if errors.As(err, &re) {
		return re.Status
	}
	return 400
}

// refuseBody answers a request whose body cannot be taken: it breaks the framing, is too large, or
// there is no room to keep it.
func (c *Core) refuseBody(cn *conn, err error) step {
	var re *request.Error
	if !errors.As(err, &re) {
		status := 500
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
			status = 507
		}
		err = fmt.Errorf("%w", &request.Error{Status: status, Reason: err.Error()})
	}
	return c.refuse(cn, err, true)
}
