"""Asks an agent at the door, descriptor 3: a request a line, a list; the answer, or {"error": why}."""

import json
import sys

import uwsgi_redis

uwsgi_redis.Connection.door = 3
for line in sys.stdin:
    try:
        answer = [part.decode() for part in uwsgi_redis.ask(*json.loads(line))]
    except uwsgi_redis.RedisError as exc:
        answer = {"error": str(exc)}
    print(json.dumps(answer), flush=True)
