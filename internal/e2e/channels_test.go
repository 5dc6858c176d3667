package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os/exec"
	"slices"
	"syscall"
	"testing"

	"uwsgi/internal/e2e/harness"
	"uwsgi/internal/proto/websocket/websockettest"
)

// TestChannels: with Redis as Channels' layer, what one WebSocket or a view says to a group reaches
// the WebSockets of both workers; a reload closes them with 1012, and those that come back hear
// each other.
func TestChannels(t *testing.T) {
	t.Parallel()
	venv := harness.Async(t)
	redis := startRedis(t)
	for _, layer := range []string{"core.RedisChannelLayer", "pubsub.RedisPubSubChannelLayer"} {
		t.Run(layer, func(t *testing.T) {
			s, addr := harness.New(t), harness.Addr(t)
			s.Copy("testdata/asgi/channels_app.py", "app.py")
			s.Setenv("LAYER="+layer, "REDIS=redis://"+redis)
			s.Start("--http", addr, "--module", "app", "--virtualenv", venv, "-p", "2", "--master",
				"--worker-reload-mercy", "60")
			site := harness.HTTP(t, addr)
			room := enter(t, addr)
			say := func(generation string) {
				t.Helper()
				for i, k := range room {
					text := fmt.Sprintf("%s %d", generation, i)
					k.Say(websockettest.Text, `{"text":"`+text+`"}`)
					for _, other := range room {
						hear(t, other, websockettest.Text, `{"text": "`+text+`"}`)
					}
				}
				site.Get("/tell?text=" + generation)
				for _, k := range room {
					hear(t, k, websockettest.Text, `{"text": "`+generation+`"}`)
				}
			}
			say("first")
			s.Reload()
			for _, k := range room {
				hear(t, k, websockettest.Close, websockettest.Code(1012, ""))
				k.Say(websockettest.Close, websockettest.Code(1012, ""))
				k.Close()
			}
			room = enter(t, addr)
			say("second")
			for _, k := range room {
				k.Say(websockettest.Close, websockettest.Code(1000, ""))
				hear(t, k, websockettest.Close, websockettest.Code(1000, ""))
				k.Close()
			}
		})
	}
}

// enter opens WebSockets until each of two workers has two at least.
func enter(t *testing.T, addr string) (room []*websockettest.Client) {
	t.Helper()
	workers := map[int]int{}
	for len(workers) < 2 || slices.Min(slices.Collect(maps.Values(workers))) < 2 {
		if len(room) == 100 {
			t.Fatalf("100 WebSockets are spread over the workers like this: %v", workers)
		}
		k := open(t, addr, "/ws")
		_, text, err := k.Hear()
		var said struct{ Worker int }
		if err != nil || json.Unmarshal([]byte(text), &said) != nil {
			t.Fatalf("heard %q, %v", text, err)
		}
		workers[said.Worker]++
		room = append(room, k)
	}
	return room
}

// startRedis starts a redis-server that keeps nothing, and gives its address.
func startRedis(t *testing.T) string {
	t.Helper()
	addr := harness.Addr(t)
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly",
		"no", "--dir", t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	harness.Eventually(t, "redis-server serves", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return addr
}
