package request

// Reset makes r ready for the next request. Buffers keep what they have grown to; a borrowed arena
// is let go.
func (r *Request) Reset() {
	own := r.own
	if !r.borrowed {
		own = r.Arena
	}
	*r = Request{Arena: own[:0], Vars: r.Vars[:0], index: r.index, repeats: r.repeats[:0]}
}

// CopyFrom makes r the same request as o, in buffers of its own: for one that has to wait, and for
// when it goes on.
func (r *Request) CopyFrom(o *Request) {
	r.Reset()
	arena, vars, index, repeats := append(r.Arena, o.Arena...), append(r.Vars, o.Vars...), r.index, r.repeats
	*r = *o
	r.Arena, r.Vars, r.index, r.repeats = arena, vars, index, repeats
	r.own, r.borrowed = nil, false
}

// Borrow makes packet the arena without copying it: the caller keeps it unchanged until Reset. A
// later AddVar moves it into a buffer of r's own.
func (r *Request) Borrow(packet []byte) {
	if !r.borrowed {
		r.own = r.Arena
	}
	r.Arena, r.borrowed = packet[:len(packet):len(packet)], true
}

// Keep moves a borrowed arena into r's own buffer, so that the packet's memory may be used again
// while r is still needed. Spans stay as they are.
func (r *Request) Keep() {
	if !r.borrowed {
		return
	}
	r.Arena, r.borrowed, r.own = append(r.own[:0], r.Arena...), false, nil
}

// AddVar appends a variable, copying both texts into the arena.
func (r *Request) AddVar(key string, val []byte) {
	r.Keep()
	k := len(r.Arena)
	r.Arena = append(append(r.Arena, key...), val...)
	r.Vars = append(r.Vars, Var{uint32(k), uint32(len(key)), uint32(k + len(key)), uint32(len(val))})
}

// AddVarString is AddVar for a value that is a string.
func (r *Request) AddVarString(key, val string) {
	r.Keep()
	k := len(r.Arena)
	r.Arena = append(append(r.Arena, key...), val...)
	r.Vars = append(r.Vars, Var{uint32(k), uint32(len(key)), uint32(k + len(key)), uint32(len(val))})
}

// Lookup finds a variable by name. Where a packet repeats a name the last one counts, as in the
// environ.
func (r *Request) Lookup(key string) (Span, bool) {
	if i := r.find(key); i >= 0 {
		return Span{r.Vars[i].ValOff, r.Vars[i].ValLen}, true
	}
	return Span{}, false
}

// PacketSize is the size of the variables as a uwsgi packet's data, the "bytes" of uWSGI's request
// line: two lengths of two bytes and both texts for each.
func (r *Request) PacketSize() int {
	n := 4 * len(r.Vars)
	for i := range r.Vars {
		n += int(r.Vars[i].KeyLen) + int(r.Vars[i].ValLen)
	}
	return n
}
