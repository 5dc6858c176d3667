package option

import "time"

const groupWebSockets Group = "WebSockets"

// WebSocketSettings is what these rows say about websockets.
type WebSocketSettings struct {
	WebSocketMaxSize int64         // bytes of a client's message; default 16 MiB, 0 = no limit
	WebSocketPing    time.Duration // a client that is silent for so long is sent a ping; default 20 s, 0 = never
	WebSocketPong    time.Duration // … and may take so long to answer; default 20 s, 0 = for ever
	WebSocketDeflate bool          // permessage-deflate is agreed to; default true
}

var (
	webSocketMaxSize = func(s *Settings) *int64 { return &s.WebSocketMaxSize }
	webSocketPing    = func(s *Settings) *time.Duration { return &s.WebSocketPing }
	webSocketPong    = func(s *Settings) *time.Duration { return &s.WebSocketPong }
)

// Names that begin with ws- are those of uvicorn.
var webSocketRows = []Row{
	{Name: "websockets-max-size", Aliases: []string{"websocket-max-size"}, Kind: KiB, Group: groupWebSockets,
		Set:  sizeKiB(webSocketMaxSize),
		Help: "largest message of a client (16384; 0 = any); a larger one ends the connection with 1009"},
	{Name: "ws-max-size", Kind: Bytes, Since: "ours", Group: groupWebSockets, Set: sizeBytes(webSocketMaxSize),
		Help: "the same in bytes (16 MiB)"},
	{Name: "websockets-ping-freq", Aliases: []string{"websocket-ping-freq"}, Kind: Seconds, Group: groupWebSockets,
		Set:  seconds(webSocketPing),
		Help: "how long a client may be silent before it is sent a ping (20; 0 = for ever)"},
	{Name: "ws-ping-interval", Kind: Seconds, Since: "ours", Group: groupWebSockets,
		Set: seconds(webSocketPing), Help: "the same"},
	{Name: "websockets-pong-tolerance", Aliases: []string{"websocket-pong-tolerance"}, Kind: Seconds,
		Group: groupWebSockets, Set: seconds(webSocketPong),
		Help: "how long it may take to answer that, by anything (20; 0 = for ever)"},
	{Name: "ws-ping-timeout", Kind: Seconds, Since: "ours", Group: groupWebSockets,
		Set: seconds(webSocketPong), Help: "the same"},
	{Name: "ws-per-message-deflate", Kind: Flag, Since: "ours", Group: groupWebSockets,
		Set:  flag(func(s *Settings) *bool { return &s.WebSocketDeflate }),
		Help: "compress messages where the client can (the default); = false leaves them as they are"},
}
