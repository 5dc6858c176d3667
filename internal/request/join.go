package request

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"slices"
)

// repeat is one later value of the name that Vars[head] already has.
type repeat struct {
	head uint32
	val  Span
}

// The seed makes it impossible for a client to choose names that fall on one slot and turn the
// search quadratic.
var seed = maphash.MakeSeed()

// startIndex empties the table of names; it has two slots for each variable that may come.
func (r *Request) startIndex() {
	size := 64
	for size < 2*len(r.Vars) {
		size *= 2
	}
	if size > cap(r.index) {
		r.index = make([]uint32, size)
		return
	}
	r.index = r.index[:size]
	clear(r.index)
}

// repeated reports whether the name of v, which would become variable at, has come before; its
// value is then noted for join.
func (r *Request) repeated(at int, v Var, key []byte) bool {
	mask := uint64(len(r.index) - 1)
	for slot := maphash.Bytes(seed, key) & mask; ; slot = (slot + 1) & mask {
		head := r.index[slot]
		if head == 0 {
			r.index[slot] = uint32(at + 1)
			return false
		}
		if bytes.Equal(r.Key(int(head-1)), key) {
			r.repeats = append(r.repeats, repeat{head - 1, Span{v.ValOff, v.ValLen}})
			return true
		}
	}
}

// join writes the values of each repeated name into the first variable of that name: ", " between
// them (RFC 9110 §5.3), "; " for Cookie (RFC 9113 §8.2.3 says so for the same case). Each value is
// copied once, however many there are. keep: they stay variables of their own where that harms
// nobody.
func (r *Request) join(keep bool) error {
	r.Keep()
	slices.SortStableFunc(r.repeats, func(a, b repeat) int { return cmp.Compare(a.head, b.head) })
	for rest := r.repeats; len(rest) > 0; {
		head := rest[0].head
		n := 1
		for n < len(rest) && rest[n].head == head {
			n++
		}
		group := rest[:n]
		rest = rest[n:]

		v := &r.Vars[head]
		sep := ", "
		switch string(r.Key(int(head))) {
		// Two of these are no list (RFC 9110 §5.3): whichever of them a proxy went by, the other
		// must not be taken for it (RFC 9112 §3.2).
		case "HTTP_HOST":
			if !r.agree(head, group) {
				return ErrTwoHosts
			}
			continue
		case "HTTP_AUTHORIZATION":
			if !r.agree(head, group) {
				return ErrTwoAuthorizations
			}
			continue
		case "CONTENT_TYPE":
			if !r.agree(head, group) {
				return ErrTwoTypes
			}
			continue
		case "HTTP_COOKIE":
			sep = "; "
		case "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_SSL":
		default:
			if keep {
				name := *v
				for _, p := range group {
					r.Vars = append(r.Vars, Var{name.KeyOff, name.KeyLen, p.val.Off, p.val.Len})
				}
				continue
			}
		}
		start := len(r.Arena)
		r.Arena = append(r.Arena, r.Val(int(head))...)
		for _, p := range group {
			if p.val.Len == 0 {
				continue
			}
			if len(r.Arena) > start {
				r.Arena = append(r.Arena, sep...)
			}
			r.Arena = append(r.Arena, r.Bytes(p.val)...)
		}
		v.ValOff, v.ValLen = uint32(start), uint32(len(r.Arena)-start)
	}
	return nil
}

// agree reports whether the later values of variable head are all its own.
func (r *Request) agree(head uint32, group []repeat) bool {
	for _, p := range group {
		if !bytes.Equal(r.Bytes(p.val), r.Val(int(head))) {
			return false
		}
	}
	return true
}
