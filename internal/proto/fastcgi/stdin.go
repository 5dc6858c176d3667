package fastcgi

// Stdin takes a request's body out of its STDIN records, piece by piece. It is used like
// http1.Chunked.
type Stdin struct {
	ID uint16 // of the request

	header  [headerSize]byte
	have    int // bytes of header
	content int // to come of this record
	padding int
	skip    bool // the record is none of the body
	done    bool
}

// Decode reads from src and writes the body to dst until src is used up, dst is full or the body
// has ended. It never writes more than it has read, so dst may be src itself. done is the web
// server's word that no more comes, whatever CONTENT_LENGTH said.
func (s *Stdin) Decode(dst, src []byte) (nDst, nSrc int, done bool, err error) {
	for !s.done {
		switch {
		case s.content > 0 && s.skip:
			n := min(s.content, len(src)-nSrc)
			s.content, nSrc = s.content-n, nSrc+n
			if n == 0 {
				return nDst, nSrc, false, nil
			}
		case s.content > 0:
			n := copy(dst[nDst:], src[nSrc:min(nSrc+s.content, len(src))])
			s.content, nSrc, nDst = s.content-n, nSrc+n, nDst+n
			if n == 0 {
				return nDst, nSrc, false, nil
			}
		case s.padding > 0:
			n := min(s.padding, len(src)-nSrc)
			s.padding, nSrc = s.padding-n, nSrc+n
			if n == 0 {
				return nDst, nSrc, false, nil
			}
			if s.padding == 0 && s.ended() {
				s.done = true
			}
		default:
			n := copy(s.header[s.have:], src[nSrc:])
			s.have, nSrc = s.have+n, nSrc+n
			if s.have < headerSize {
				return nDst, nSrc, false, nil
			}
			if err := s.begin(); err != nil {
				return nDst, nSrc, false, err
			}
		}
	}
	return nDst, nSrc, true, nil
}

// begin looks at a whole header.
func (s *Stdin) begin() error {
	rec, err := readHeader(s.header[:])
	if err != nil {
		return err
	}
	s.have, s.content, s.padding = 0, rec.content, rec.padding
	s.skip = rec.id != s.ID || rec.kind != typeStdin
	switch {
	case rec.id == s.ID && rec.kind == typeAbort:
		return ErrAborted
	case rec.kind == typeBegin:
		return ErrMultiple
	}
	s.done = s.padding == 0 && rec.content == 0 && !s.skip
	return nil
}

// ended reports whether the record whose padding has just been read was the empty one that ends the
// body.
func (s *Stdin) ended() bool {
	return !s.skip && s.header[4] == 0 && s.header[5] == 0
}
