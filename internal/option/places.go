package option

import "strings"

// placed is set, which also notes in Settings.Places where the option stands: what it names is
// opened by other processes, which have no configuration to look it up in.
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

// Place is where an option has that value, as errors name it: "u.ini:4: chdir2 = /srv", or "chdir2
// = /srv" where that is not known. It is known of options that are placed.
func (s *Settings) Place(name, value string) string {
	if at := s.Places[name+" = "+value]; at != "" {
		return at
	}
	return name + " = " + Public(value)
}
