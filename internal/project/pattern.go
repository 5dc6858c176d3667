package project

import (
	"regexp"
	"sync"
)

// pattern is a regular expression that is compiled when it is first asked: an instance that serves
// looks for no project, and all of them together are 160 kB.
type pattern func() *regexp.Regexp

func lazy(text string) pattern {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

func (p pattern) MatchString(s string) bool            { return p().MatchString(s) }
func (p pattern) FindStringSubmatch(s string) []string { return p().FindStringSubmatch(s) }
func (p pattern) FindAllStringSubmatch(s string, n int) [][]string {
	return p().FindAllStringSubmatch(s, n)
}
func (p pattern) ReplaceAllString(s, by string) string { return p().ReplaceAllString(s, by) }
