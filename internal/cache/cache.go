// Package cache is the supervisor's side of the caches: how large each is laid out, and what their
// counters say. What works in them is cmd/uwsgi-shared/cache.c.
package cache

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"time"

	"uwsgi/internal/area"
	"uwsgi/internal/option"
	"uwsgi/internal/stats"
)

// Kind is what areas of caches are called.
const Kind = "cache"

// The layout of cmd/uwsgi-shared/cache.h.
const (
	magic     = 0x3148434143575555
	head      = 1024
	slotSize  = 64
	expiryAt  = 512 + 16
	counterAt = 768

	bitmapFlag = 1
	lruFlag    = 2
	quietFlag  = 4
	storeFlag  = 8
)

// most is how many items and blocks there may be: they are counted in 32 bits.
const most = 1 << 31

// maxSize is how large an area may be; the rest of the arithmetic fits.
const maxSize = 1 << 46

// Specs are the areas of the caches that the settings ask for.
func Specs(s *option.Settings) ([]area.Spec, error) {
	var out []area.Spec
	for _, c := range s.Caches {
		if c.Items == 0 || c.URL != "" {
			continue // cache-blocksize without cache, or in Redis
		}
		spec, err := layout(c)
		if err != nil {
			return nil, wrong(c)(err)
		}
		spec.Wrong = wrong(c)
		out = append(out, spec)
	}
	return out, nil
}

// wrong names the option that asks for a cache.
func wrong(c option.Cache) func(error) error {
	name := "cache2"
	if c.Text == "" {
		name = "cache"
	}
	return func(err error) error { return option.Wrong(name, c.Text, err) }
}

func layout(c option.Cache) (area.Spec, error) {
	// uWSGI counts a place that it does not use.
	items := max(uint64(c.Items), 2) - 1
	blocks := items + 1
	flags := uint64(0)
	for _, f := range []struct {
		on   bool
		flag uint64
	}{{c.Bitmap, bitmapFlag}, {c.PurgeLRU, lruFlag}, {c.IgnoreFull, quietFlag}, {c.Store != "", storeFlag}} {
		if f.on {
			flags |= f.flag
		}
	}
	if c.Bitmap {
		blocks = max(uint64(c.Blocks), 1)
		if c.Blocks == 0 {
			blocks = uint64(c.Items)
		}
	}
	blocksize, keysize := uint64(c.BlockSize), uint64(c.KeySize)
	buckets := uint64(1) << bits.Len64(max(uint64(c.HashSize), items)-1)
	if items > most || blocks > most || buckets > 2*most || blocksize > maxSize || keysize > maxSize {
		return area.Spec{}, fmt.Errorf("too large")
	}
	at := uint64(head)
	next := func(n, size uint64) uint64 {
		was := at
		if hi, lo := bits.Mul64(n, size); hi != 0 || lo > maxSize {
			at = maxSize
		} else {
			at = min((at+lo+63)&^63, maxSize)
		}
		return was
	}
	slots, keys := next(items+2, slotSize), next(items+2, keysize)
	table, bitmap := next(buckets, 4), next((blocks+63)/64, 8)
	at = (at + 4095) &^ 4095
	content := next(blocks, blocksize)
	if at >= maxSize {
		return area.Spec{}, fmt.Errorf("too large")
	}
	var geometry []byte
	for _, word := range []uint64{items, blocks, blocksize, keysize, buckets, flags, slots,
		keys, table, bitmap, content,
		at, uint64(c.Initial)} {
		geometry = binary.NativeEndian.AppendUint64(geometry, word)
	}
	return area.Spec{Kind: Kind, Name: c.Name, Magic: magic, Geometry: geometry, Size: int64(at), Store: c.Store,
		Sync: c.StoreSync}, nil
}

// Stats are the figures of a cache that is in a.
func Stats(a *area.Area, c option.Cache) (stats.Cache, error) {
	var counters [7 * 8]byte
	if _, err := a.ReadAt(counters[:], counterAt); err != nil && err != io.EOF {
		return stats.Cache{}, err
	}
	n := func(i int) int64 { return int64(binary.NativeEndian.Uint64(counters[8*i:])) }
	spec := a.Geometry
	word := func(i int) int64 { return int64(binary.NativeEndian.Uint64(spec[8*i:])) }
	over, overBytes, err := over(a, uint64(word(6)), uint64(word(0))+1)
	if err != nil {
		return stats.Cache{}, err
	}
	return stats.Cache{Name: a.Name, KeySize: c.KeySize, BlockSize: word(2), Hits: n(1), Misses: n(2), Full: n(3),
		CacheTable: &stats.CacheTable{Hash: "djb33x", HashSize: word(4), MaxItems: c.Items, Blocks: word(1),
			Items: max(0, n(0)-over), Evictions: n(4), Expired: n(5) + over, Bytes: max(0, n(6)-overBytes)}}, nil
}

// scanned is how many slots are looked at for a statistic: 16 MiB.
const scanned = 1 << 18

// over counts the items that are over and still there, and the bytes of their values: a cache drops
// them when it needs their place. A large one is not looked through.
func over(a *area.Area, at, slots uint64) (items, size int64, err error) {
	var next [8]byte
	if _, err := a.ReadAt(next[:], expiryAt); err != nil {
		return 0, 0, err
	}
	now := uint64(time.Now().UnixMicro())
	if binary.NativeEndian.Uint64(next[:]) > now || slots > scanned {
		return 0, 0, nil
	}
	part := make([]byte, 1024*slotSize)
	for ; slots > 0; at += uint64(len(part)) {
		part = part[:min(slots, 1024)*slotSize]
		slots -= uint64(len(part) / slotSize)
		if _, err := a.ReadAt(part, int64(at)); err != nil {
			return 0, 0, err
		}
		for s := part; len(s) > 0; s = s[slotSize:] {
			expires := binary.NativeEndian.Uint64(s)
			if expires != 0 && expires <= now && binary.NativeEndian.Uint32(s[32:]) == 1 {
				items++
				size += int64(binary.NativeEndian.Uint64(s[24:]))
			}
		}
	}
	return items, size, nil
}
