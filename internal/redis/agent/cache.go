package agent

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// colons keeps names apart: one has none.
var colons = strings.NewReplacer("%", "%25", ":", "%3A")

// item is the key of a cache's item, uwsgi:cache:NAME:CACHE:KEY, NAME being the URL's. Its value is
// what uWSGI has: a counter is its eight bytes, little-endian.
func (s *server) item(cache, key string) string {
	return "uwsgi:cache:" + colons.Replace(s.name) + ":" + colons.Replace(cache) + ":" + key
}

func one(ok bool) ([]string, error) {
	if ok {
		return []string{"1"}, nil
	}
	return nil, nil
}

func cacheGet(ctx context.Context, c *client, s *server, a []string) ([]string, error) {
	found, err := cacheNum(ctx, c, s, a)
	switch figures := s.figures(a[0]); {
	case err != nil:
	case found != nil:
		figures.Hits.Add(1)
	default:
		figures.Misses.Add(1)
	}
	return found, err
}

// cacheNum is a get that is not counted, as cache_num is nowhere.
func cacheNum(ctx context.Context, _ *client, s *server, a []string) ([]string, error) {
	v, err := s.Get(ctx, s.item(a[0], a[1])).Result()
	if errors.Is(err, goredis.Nil) {
		return nil, nil
	}
	return []string{v}, err
}

// span is a lifetime; 0 = for ever, less than that: over as soon as it begins.
func span(text string) (time.Duration, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, refusal(strconv.Quote(text) + " is no number of seconds")
	}
	return time.Duration(max(-1, min(n, math.MaxInt32))) * time.Second, nil
}

// cacheSet: cache, key, value, lifetime. Nothing where the key is there already.
func cacheSet(ctx context.Context, c *client, s *server, a []string) ([]string, error) {
	life, err := span(a[3])
	if err != nil {
		return nil, err
	}
	if life < 0 {
		there, err := cacheExists(ctx, c, s, a[:2])
		if err != nil {
			return nil, err
		}
		return one(len(there) == 0)
	}
	ok, err := s.SetNX(ctx, s.item(a[0], a[1]), a[2], life).Result()
	if err != nil {
		return nil, err
	}
	return one(ok)
}

func cacheUpdate(ctx context.Context, _ *client, s *server, a []string) ([]string, error) {
	life, err := span(a[3])
	if err != nil {
		return nil, err
	}
	key := s.item(a[0], a[1])
	if life < 0 {
		err = s.Unlink(ctx, key).Err()
	} else {
		err = s.Set(ctx, key, a[2], life).Err()
	}
	if err != nil {
		return nil, err
	}
	return one(true)
}

func cacheDel(ctx context.Context, _ *client, s *server, a []string) ([]string, error) {
	n, err := s.Unlink(ctx, s.item(a[0], a[1])).Result()
	if err != nil {
		return nil, err
	}
	return one(n > 0)
}

func cacheExists(ctx context.Context, _ *client, s *server, a []string) ([]string, error) {
	n, err := s.Exists(ctx, s.item(a[0], a[1])).Result()
	if err != nil {
		return nil, err
	}
	return one(n > 0)
}

// escapes are the characters that mean something in a pattern of SCAN.
var escapes = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`)

// each calls f with the keys of a cache, some at a time.
func each(ctx context.Context, s *server, cache string, f func(keys []string) error) error {
	for cursor := uint64(0); ; {
		keys, next, err := s.Scan(ctx, cursor, escapes.Replace(s.item(cache, ""))+"*", 1000).Result()
		if err == nil && len(keys) > 0 {
			err = f(keys)
		}
		if err != nil || next == 0 {
			return err
		}
		cursor = next
	}
}

func cacheClear(ctx context.Context, _ *client, s *server, a []string) ([]string, error) {
	err := each(ctx, s, a[0], func(keys []string) error { return s.Unlink(ctx, keys...).Err() })
	if err != nil {
		return nil, err
	}
	return one(true)
}

func cacheKeys(ctx context.Context, _ *client, s *server, a []string) ([]string, error) {
	seen := map[string]bool{}
	var out []string
	err := each(ctx, s, a[0], func(keys []string) error {
		for _, k := range keys {
			if !seen[k] { // SCAN may give a key twice
				seen[k] = true
				out = append(out, strings.TrimPrefix(k, s.item(a[0], "")))
			}
		}
		return nil
	})
	return out, err
}

// swap replaces a value that is what it was seen to be ("" in ARGV[3] = it was not there).
var swap = goredis.NewScript(`
local has = redis.call('GET', KEYS[1])
if (has or '') ~= ARGV[1] or (has and '1' or '0') ~= ARGV[3] then return 0 end
if ARGV[4] == '0' then
	redis.call('SET', KEYS[1], ARGV[2])
elseif ARGV[4] == '-1' then
	redis.call('DEL', KEYS[1])
else
	redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[4])
end
return 1`)

var (
	seed    = maphash.MakeSeed()
	stripes [64]sync.Mutex
)

// cacheArith: cache, key, operation (inc, dec, mul, div), operand, lifetime from now on. All of
// it is in 64 bits, which Redis' scripts cannot count in. What is no counter is none.
func cacheArith(ctx context.Context, _ *client, s *server, a []string) ([]string, error) {
	n, err := strconv.ParseInt(a[3], 10, 64)
	if err != nil {
		return nil, refusal(err.Error())
	}
	life, err := span(a[4])
	if err != nil {
		return nil, err
	}
	key := s.item(a[0], a[1])
	lock := &stripes[maphash.String(seed, key)%uint64(len(stripes))]
	lock.Lock()
	defer lock.Unlock()
	for {
		old, err := s.Get(ctx, key).Result()
		there := "1"
		if errors.Is(err, goredis.Nil) {
			there, err = "0", nil
		}
		if err != nil {
			return nil, err
		}
		var v int64
		switch {
		case there == "0":
		case len(old) == 8:
			v = int64(binary.LittleEndian.Uint64([]byte(old)))
		default:
			return nil, nil
		}
		switch a[2] {
		case "inc":
			v += n
		case "dec":
			v -= n
		case "mul":
			v *= n
		case "div":
			if n == 0 {
				v = 0
			} else {
				v /= n
			}
		default:
			return nil, refusal("there is no operation " + strconv.Quote(a[2]))
		}
		sum := string(binary.LittleEndian.AppendUint64(nil, uint64(v)))
		ok, err := swap.Run(ctx, s, []string{key}, old, sum, there, int64(life/time.Second)).Int()
		if err != nil {
			return nil, err
		}
		if ok == 1 {
			return one(true)
		}
	}
}
