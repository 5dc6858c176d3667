package main

import "math/bits"

// histogram counts latencies in buckets of 1/32 of their power of two.
type histogram struct {
	counts [64 * 32]int64
	n      int64
	max    int64
}

func (h *histogram) add(ns int64) {
	ns = max(ns, 1)
	h.counts[bucket(ns)]++
	h.n++
	h.max = max(h.max, ns)
}

func bucket(ns int64) int {
	exp := bits.Len64(uint64(ns)) - 1
	if exp < 5 {
		return int(ns)
	}
	return exp<<5 | int(ns>>(exp-5))&31
}

// at gives the q quantile in microseconds.
func (h *histogram) at(q float64) float64 {
	want := int64(q * float64(h.n))
	seen := int64(0)
	for i, c := range h.counts {
		if seen += c; seen > want {
			exp := i >> 5
			if exp < 5 {
				return float64(i) / 1e3
			}
			return float64((int64(i&31)|32)<<(exp-5)) / 1e3
		}
	}
	return float64(h.max) / 1e3
}
