package redis

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

const (
	defaultName  = "uwsgi"
	defaultLease = 10 * time.Second
	// Patience is how long an answer of Redis is waited for.
	Patience = 2 * time.Second
	// rate is how many bytes a second go to Redis at the least, on a machine that has much to do.
	rate = 8 << 20
)

// PatienceFor is how long the answer to a request is waited for: a large value takes longer.
func PatienceFor(request []string) time.Duration {
	size := 0
	for _, part := range request {
		size += len(part)
	}
	return Patience + time.Duration(size)*time.Second/rate
}

// Address is what a redis:// URL says.
type Address struct {
	URL   *url.URL      // of go-redis: without what follows
	Name  string        // of what is ours there: the spooler's, the cluster's
	Lease time.Duration // how long a lease or a job is held that nobody renews
}

// Parse reads a URL. What go-redis makes of the rest of it, the agent knows.
func Parse(address string) (*Address, error) {
	u, err := url.Parse(address)
	if err != nil {
		var e *url.Error
		if errors.As(err, &e) {
			err = e.Err // the other text has the password
		}
		return nil, err
	}
	a, q := &Address{URL: u, Name: defaultName, Lease: defaultLease}, u.Query()
	if q.Has("name") {
		a.Name = q.Get("name")
	}
	if a.Name == "" || strings.ContainsAny(a.Name, "{}") {
		return nil, errors.New("name= is empty, or has braces")
	}
	if q.Has("lease") {
		if a.Lease, err = time.ParseDuration(q.Get("lease")); err != nil ||
			a.Lease < time.Second || a.Lease > time.Hour {
			return nil, errors.New("lease= is a time from 1s to 1h, such as 10s")
		}
	}
	q.Del("name")
	q.Del("lease")
	u.RawQuery = q.Encode()
	switch u.Scheme = strings.ReplaceAll(u.Scheme, "valkey", "redis"); u.Scheme {
	case "redis+unix":
		u.Scheme = "unix"
	case "redis", "rediss":
	default:
		return nil, fmt.Errorf("%q is not redis, rediss or redis+unix", u.Scheme)
	}
	return a, nil
}
