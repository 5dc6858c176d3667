package http1

import (
	"testing"

	"uwsgi/internal/request"
)

const hello = "GET /hello?x=1 HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: curl/7.88.1\r\nAccept: " +
	"*/*\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n\r\n"

func BenchmarkParseHello(b *testing.B) {
	var r request.Request
	s, buf := newTestServer(), []byte(hello)
	b.ReportAllocs()
	for b.Loop() {
		r.Reset()
		if _, err := s.Parse(buf, &r, testLimits, testPeer); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseAndFinishHello(b *testing.B) {
	var r request.Request
	s, buf := newTestServer(), []byte(hello)
	b.ReportAllocs()
	for b.Loop() {
		r.Reset()
		if _, err := s.Parse(buf, &r, testLimits, testPeer); err != nil {
			b.Fatal(err)
		}
		if err := request.Finish(&r, testLimits, request.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
