package option

import "strings"

// placed has Settings.Places tell where an option stands that names what only other processes open,
// which have no configuration to look it up in.
func placed(name string, set func(*Settings, Value) error) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		if err := set(s, v); err != nil {
			return err
		}
		if s.Places == nil {
			s.Places = map[string]string{}
		}
		e := Error{File: v.Origin.File, Line: v.Origin.Line, Name: v.Name, Value: v.Text}
		s.Places[name+" = "+v.Text] = strings.TrimSuffix(e.Error(), ": ")
		return nil
	}
}

// Place is where an option has that value, as errors name it: "u.ini:4: chdir2 = /srv"; "chdir2 =
// /srv" when nobody knows. Options of which it knows are placed.
func (s *Settings) Place(name, value string) string {
	if at := s.Places[name+" = "+value]; at != "" {
		return at
	}
	return name + " = " + Public(value)
}
