package option

import (
	"errors"
	"strings"
	"testing"
)

// TestCacheKeys: every key of uWSGI's cache2 (core/cache.c, uwsgi_cache_create) is judged, and is
// part of no other one's value.
func TestCacheKeys(t *testing.T) {
	of := map[string]string{"name": "", "items": "", "max_items": "", "maxitems": "",
		"hash": "djb33x", "store": "/tmp/x",
		"node": "h:1", "nodes": "h:1;h:2", "sync": "h:1", "udp": "h:1", "udp_servers": "h:1", "udp_server": "h:1",
		"udpservers": "h:1", "udpserver": "h:1", "url": "redis://h"}
	said := map[string]bool{"node": true, "nodes": true, "sync": true, "udp": true, "udp_servers": true,
		"udp_server": true, "udpservers": true, "udpserver": true, "no_expire": true}
	for _, key := range []string{"name", "max_items", "maxitems", "items", "blocksize", "blocks", "hash", "hashsize",
		"hash_size", "keysize", "key_size", "store", "store_sync", "storesync", "store_delete", "storedelete", "node",
		"nodes", "sync", "udp", "udp_servers", "udp_server", "udpservers", "udpserver", "bitmap", "lastmod", "math_initial",
		"ignore_full", "purge_lru", "lru", "lazy_expire", "lazy", "sweep_on_full", "clear_on_full", "no_expire"} {
		value, special := of[key]
		text := "name=c,items=10," + key + "=" + value
		switch {
		case !special:
			text += "64"
		case key == "name":
			text = "items=10,name=c"
		case value == "":
			text = "name=c," + key + "=10"
		}
		var s Settings
		err := cache2(&s, Value{Text: text})
		var e *Error
		if err != nil && (!errors.As(err, &e) || !e.Warn || !said[key] || strings.Contains(err.Error(), "is no key")) {
			t.Errorf("%s: %v", text, err)
		}
		if (err != nil) != said[key] {
			t.Errorf("%s: %v", text, err)
		}
		if len(s.Caches) != 1 || s.Caches[0].Name != "c" || s.Caches[0].Items != 10 {
			t.Errorf("%s: %+v", text, s.Caches)
		}
	}
	var s Settings
	const all = "name=c,items=10,lru=1,key_size=7,math_initial=-3,storesync=2,hash_size=9"
	if err := cache2(&s, Value{Text: all}); err != nil {
		t.Error(err)
	}
	if c := s.Caches[0]; !c.PurgeLRU || c.KeySize != 7 || c.Initial != -3 || c.StoreSync.Seconds() != 2 ||
		c.HashSize != 9 {
		t.Errorf("%+v", c)
	}
	for _, wrong := range []string{"name=c", "items=3", "name=c,items=0", "name=c,items=x", "name=c,items=-1",
		"name=c,items=1,keysize=0", "name=c,items=1,math_initial=x", "c", "", "name=a@b,items=1",
		"name=c,url=redis://h,math_initial=2", "name=c,url=http://h", "name=c,items=1,url=redis://h,store=/x"} {
		var e *Error
		if err := cache2(&Settings{}, Value{Text: wrong}); !errors.As(err, &e) || e.Warn || e.Hint == "" {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}
