package option

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

const groupCaches Group = "Caches"

// CacheSettings is what these rows say about caches.
type CacheSettings struct {
	Caches     []Cache
	CacheItems []string // [CACHE ]KEY=VALUE
	CacheFiles []CacheFile
}

// Cache is a cache of uwsgi.cache_*. Sizes are bytes. Of one in Redis, URL, nothing else counts but
// the sizes of keys and values.
type Cache struct {
	Name       string
	URL        string
	Items      int64 // one more than it holds, as uWSGI counts; 0 = it is only spoken of
	Blocks     int64 // of values, with Bitmap; 0 = as many as items
	BlockSize  int64
	KeySize    int64 // of the longest key
	HashSize   int64 // buckets; 0 = as items ask for
	Bitmap     bool  // a value may take several blocks
	PurgeLRU   bool  // what was used least recently goes when it is full
	IgnoreFull bool  // nobody is told that it is full
	Initial    int64 // what a number that is not there counts from
	Store      string
	StoreSync  time.Duration // how often the store is written to the disk; 0 = when the kernel does
	Text       string        `json:"-"` // of cache2; "" = of the options before it
}

// CacheFile is a file that is put into a cache at the start, under its path.
type CacheFile struct {
	Text string // [CACHE ]PATH
	Gzip bool
}

var cacheRows = []Row{
	{Name: "cache2", Kind: NameValue, Repeat: true, Group: groupCaches, Set: cache2,
		Example: "name=sessions,items=10000,blocksize=4096",
		Help: "a cache in shared memory: name=NAME, items=N and, separated by commas, blocksize= (65536), " +
			"keysize= (2048), bitmap=1, blocks=N, purge_lru=1, ignore_full=1, store=FILE, store_sync=SECONDS; " +
			"or in Redis: name=NAME, url=redis://HOST:PORT/DB"},
	{Name: "cache", Kind: Int, Group: groupCaches, Help: "the cache `default` of N items",
		Set: integer(func(s *Settings) *int64 { return &plainCache(s).Items })},
	{Name: "cache-blocksize", Unset: "65536", Kind: Bytes, Group: groupCaches, Help: "its largest value (65536)",
		Set: sizeBytes(func(s *Settings) *int64 { return &plainCache(s).BlockSize })},
	{Name: "cache-store", Kind: Path, Group: groupCaches, Help: "a file that keeps it over restarts",
		Set: func(s *Settings, v Value) error { plainCache(s).Store = v.Text; return nil }},
	{Name: "cache-store-sync", Unset: "0", Kind: Seconds, Group: groupCaches,
		Help: "how often that is written to the disk (0: when the kernel does)",
		Set:  seconds(func(s *Settings) *time.Duration { return &plainCache(s).StoreSync })},
	{Name: "add-cache-item", Kind: Text, Repeat: true, Group: groupCaches, Set: addCacheItem,
		Example: "sessions greeting=hello",
		Help:    "an item of the start: [CACHE ]KEY=VALUE"},
	{Name: "load-file-in-cache", Kind: Path, Repeat: true, Group: groupCaches,
		Set:  placed("load-file-in-cache", cacheFile(false)),
		Help: "a file as an item of the start, under its path: [CACHE ]PATH"},
	{Name: "load-file-in-cache-gzip", Kind: Path, Repeat: true, Group: groupCaches,
		Set:  placed("load-file-in-cache-gzip", cacheFile(true)),
		Help: "the same, compressed"},
}

// plainCache is the cache of the options before cache2, in its place among the others.
func plainCache(s *Settings) *Cache {
	i := slices.IndexFunc(s.Caches, func(c Cache) bool { return c.Name == "default" })
	if i < 0 {
		i, s.Caches = len(s.Caches), append(s.Caches, newCache("default"))
	}
	return &s.Caches[i]
}

func newCache(name string) Cache { return Cache{Name: name, BlockSize: 64 << 10, KeySize: 2048} }

// cacheKeys are uWSGI's, and ours.
var cacheKeys = []string{"name", "max_items", "maxitems", "items", "blocksize", "blocks", "keysize", "key_size", "hash",
	"hashsize", "hash_size", "bitmap", "purge_lru", "lru", "lazy_expire", "lazy", "sweep_on_full", "clear_on_full",
	"no_expire", "ignore_full", "store", "store_sync", "storesync", "store_delete", "storedelete", "lastmod",
	"use_last_modified", "clear_on_reload", "math_initial", "node", "nodes", "sync", "udp", "udp_servers", "udp_server",
	"udpservers", "udpserver", "url"}

func cache2(s *Settings, v Value) error {
	c := newCache("")
	c.Text = v.Text
	var hint error
	if !strings.Contains(v.Text, "=") {
		return fault("write cache2 = name=NAME,items=N", "%q names no cache", v.Text)
	}
	for _, pair := range keyvals(v.Text, cacheKeys) {
		var err error
		if value, rest, more := strings.Cut(pair.value, ","); more && pair.key != "store" && pair.key != "url" {
			key, _, _ := strings.Cut(rest, "=")
			hint, pair.value = warning("see cache2 in --help", "%q is no key of cache2", key), value
		}
		switch pair.key {
		case "name":
			c.Name = pair.value
		case "max_items", "maxitems", "items":
			c.Items, err = cacheSize(pair)
		case "blocksize":
			c.BlockSize, err = cacheSize(pair)
		case "blocks":
			c.Blocks, err = cacheSize(pair)
		case "keysize", "key_size":
			c.KeySize, err = cacheSize(pair)
		case "hashsize", "hash_size":
			c.HashSize, err = cacheSize(pair)
		case "bitmap":
			c.Bitmap = pair.on()
		case "purge_lru", "lru":
			c.PurgeLRU = pair.on()
		case "clear_on_full": // so that there is always room; no need to lose all for it
			c.PurgeLRU = c.PurgeLRU || pair.on()
		case "math_initial":
			if c.Initial, err = strconv.ParseInt(pair.value, 10, 64); err != nil {
				err = fault("write math_initial=N", "math_initial=%s is no number", pair.value)
			}
		case "no_expire":
			hint = warning("set items without a time", "no_expire has no effect: what has a time ends then")
		case "ignore_full":
			c.IgnoreFull = pair.on()
		case "url":
			if c.URL = pair.value; !isRedis(c.URL) {
				return fault("write url=redis://HOST:PORT/DB", "%s is not Redis", c.URL)
			}
		case "store":
			c.Store = pair.value
		case "store_sync", "storesync":
			var n int64
			n, err = cacheSize(pair)
			c.StoreSync = time.Duration(min(n, 1<<30)) * time.Second
		case "hash", "lazy_expire", "lazy", "sweep_on_full", "store_delete", "storedelete",
			"lastmod", "use_last_modified",
			"clear_on_reload":
			// always so, or without effect
		case "node", "nodes", "sync", "udp", "udp_servers", "udp_server", "udpservers", "udpserver":
			hint = warning("leave it out", "%s is not offered: write url=redis://HOST:PORT/DB for a cache of several "+
				"machines", pair.key)
		default:
			hint = warning("see cache2 in --help", "%q is no key of cache2", pair.key)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case c.Name == "" || strings.ContainsAny(c.Name, "@\x00"):
		return fault("write cache2 = name=NAME,items=N", "a cache needs a name, without @")
	case c.URL != "" && c.Store != "":
		return fault("leave store= out", "cache %s is in Redis, which keeps it", c.Name)
	case c.URL != "" && c.Initial != 0:
		return fault("leave math_initial= out", "cache %s is in Redis, where numbers count from 0", c.Name)
	case c.Items == 0 && c.URL == "":
		return fault("write cache2 = name="+c.Name+",items=100", "cache %s has no items", c.Name)
	case c.BlockSize == 0 || c.KeySize == 0:
		return fault("leave it out", "cache %s has a blocksize or keysize of 0", c.Name)
	case slices.ContainsFunc(s.Caches, func(o Cache) bool { return o.Name == c.Name && (o.Items > 0 || o.URL != "") }):
		return fault("give each its own name", "two caches are called %s", c.Name)
	}
	s.Caches = append(s.Caches, c)
	return hint
}

func cacheSize(pair keyval) (int64, error) {
	n, err := strconv.ParseInt(pair.value, 10, 64)
	if err != nil || n < 0 {
		return 0, fault("write "+pair.key+"=N", "%s=%s is no number", pair.key, pair.value)
	}
	return n, nil
}

func addCacheItem(s *Settings, v Value) error {
	if !strings.Contains(v.Text, "=") {
		return fault("write add-cache-item = [CACHE ]KEY=VALUE", "%q has no value", v.Text)
	}
	s.CacheItems = append(s.CacheItems, v.Text)
	return nil
}

func cacheFile(gzip bool) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		s.CacheFiles = append(s.CacheFiles, CacheFile{Text: v.Text, Gzip: gzip})
		return nil
	}
}
