package http1

import "uwsgi/internal/request"

func refuse(status int, reason string) *request.Error {
	return &request.Error{Status: status, Reason: reason}
}

// Refusals. After any of them nothing on the connection can be trusted to be where it seems: answer
// and close.
var (
	ErrRequestLine = refuse(400, "invalid request line")
	ErrMethod      = refuse(400, "invalid method")
	ErrTLS         = refuse(400, "TLS on a socket that speaks HTTP: ask http://, or end TLS in nginx")
	ErrPacket      = refuse(400, "uwsgi packet on a socket that speaks HTTP: write socket = in place of http =, or "+
		"proxy_pass in place of uwsgi_pass in nginx")
	ErrVersion      = refuse(400, "invalid HTTP version")
	ErrMajor        = refuse(505, "HTTP version is not 1.x")
	ErrTarget       = refuse(400, "invalid request target")
	ErrEscape       = refuse(400, "invalid percent-encoding in the path")
	ErrConnect      = refuse(405, "CONNECT: this is no proxy")
	ErrLineEnd      = refuse(400, "line in the head does not end in CR LF")
	ErrName         = refuse(400, "invalid header name")
	ErrValue        = refuse(400, "control byte in a header value")
	ErrNoHost       = refuse(400, "HTTP/1.1 request without Host")
	ErrTwoHosts     = refuse(400, "more than one Host")
	ErrHost         = refuse(400, "invalid Host")
	ErrLength       = refuse(400, "invalid Content-Length")
	ErrTwoLengths   = refuse(400, "more than one Content-Length")
	ErrCoding       = refuse(400, "invalid Transfer-Encoding")
	ErrUnknown      = refuse(501, "transfer coding other than chunked")
	ErrCodingLength = refuse(400, "both Transfer-Encoding and Content-Length")
	ErrCoding10     = refuse(400, "Transfer-Encoding in an HTTP/1.0 request")
	ErrExpect       = refuse(417, "Expect is not 100-continue")

	ErrLineSize = &request.Error{Status: 414, Reason: "request line is larger than the limit", Option: "buffer-size"}

	ErrChunkSize  = refuse(400, "invalid chunk size")
	ErrChunkLine  = refuse(400, "invalid chunk line")
	ErrChunkEnd   = refuse(400, "chunk data does not end in CR LF")
	ErrTrailer    = refuse(400, "invalid trailer")
	ErrChunkExt   = refuse(400, "chunk extensions are too long")
	ErrTrailSize  = &request.Error{Status: 431, Reason: "trailers are too long"}
	ErrChunkLimit = &request.Error{Status: 413, Reason: "chunk is larger than the limit", Option: "chunked-input-limit"}
)
