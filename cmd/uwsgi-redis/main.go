// Command uwsgi-redis talks to Redis for an instance of uwsgi, which starts it: see internal/redis.
package main

import (
	"os"

	"uwsgi/internal/redis/agent"
)

func main() {
	os.Exit(agent.Serve(os.Args[1:]))
}
