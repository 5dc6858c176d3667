// Package sharedarea is the supervisor's side of shared areas: how each is laid out. What works in
// them is cmd/uwsgi-shared/sharedarea.c.
package sharedarea

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"uwsgi/internal/area"
	"uwsgi/internal/option"
)

// Kind is what their areas are called; their names are their numbers.
const Kind = "sharedarea"

// The layout of cmd/uwsgi-shared/sharedarea.h.
const (
	magic = 0x3141524853575555
	head  = 4096 // a page of its own, so that the bytes begin with one
)

// most is how large one may be.
const most = 1 << 44

// Specs are the areas that the settings ask for, in their order.
func Specs(s *option.Settings) ([]area.Spec, error) {
	var out []area.Spec
	for i, a := range s.SharedAreas() {
		at, size := int64(head), a.Size
		if size > most {
			return nil, wrong(a)(fmt.Errorf("%d bytes are too many", size))
		}
		whole := at + size
		if a.File != "" {
			at, whole = 0, head
		}
		var geometry []byte
		for _, word := range []int64{size, at} {
			geometry = binary.NativeEndian.AppendUint64(geometry, uint64(word))
		}
		out = append(out, area.Spec{Kind: Kind, Name: strconv.Itoa(i), Magic: magic, Geometry: geometry, Size: whole,
			Wrong: wrong(a)})
	}
	return out, nil
}

// wrong names the option that asks for an area.
func wrong(a option.SharedArea) func(error) error {
	return func(err error) error { return option.Wrong(a.Option, a.Text, err) }
}
