package option

import (
	"strconv"
	"strings"
)

const groupStatic Group = "Static files"

// StaticSettings is what these rows say about static files.
type StaticSettings struct {
	StaticMaps     []StaticMap // static-map, static-map2 and check-static in the order they are looked up
	StaticIndexes  []string
	StaticSkipExts []string
	StaticSafe     []string
	StaticExpires  []StaticExpires
	StaticGzipAll  bool
	StaticGzip     []string // regexps
	StaticGzipDirs []string
	StaticGzipExts []string
	MimeFiles      []string
	FileServeMode  string // "", "x-sendfile", "x-accel-redirect"
	HonourRange    bool
	NoSendfile     bool
	StaticDocroot  bool
}

var staticRows = []Row{
	{Name: "static-map", Kind: NameValue, Repeat: true, Group: groupStatic, Set: staticMap("map"),
		Example: "/static=/srv/mysite/static",
		Help:    "serve files under a prefix: /static=/srv/static"},
	{Name: "static-map2", Kind: NameValue, Repeat: true, Group: groupStatic, Set: staticMap("map2"),
		Example: "/static=/srv/mysite",
		Help:    "the same, the prefix kept in the path of the file"},
	{Name: "check-static", Aliases: []string{"static-check"}, Kind: Path, Repeat: true, Group: groupStatic,
		Example: "/srv/mysite/public",
		Set:     checkStatic, Help: "serve a file of this folder where one has the path asked for"},
	{Name: "check-static-docroot", Kind: Flag, Group: groupStatic,
		Set:  flag(func(s *Settings) *bool { return &s.StaticDocroot }),
		Help: "the same with the front end's DOCUMENT_ROOT"},
	{Name: "static-index", Example: "index.html", Kind: Text, Repeat: true, Group: groupStatic,
		Set:  list(func(s *Settings) *[]string { return &s.StaticIndexes }),
		Help: "file served for a folder: index.html"},
	{Name: "static-skip-ext", Example: ".py", Kind: Text, Repeat: true, Group: groupStatic,
		Set:  list(func(s *Settings) *[]string { return &s.StaticSkipExts }),
		Help: "never serve files that end in this"},
	{Name: "static-safe", Example: "/srv/shared", Kind: Path, Repeat: true, Group: groupStatic,
		Set: list(func(s *Settings) *[]string { return &s.StaticSafe }), Help: "a folder that links may lead to"},
	{Name: "static-expires", Kind: Text, Repeat: true, Group: groupStatic, Set: staticExpires("filename", false),
		Example: "/css/.* 3600",
		Help:    "Expires header by file path: REGEXP SECONDS"},
	{Name: "static-expires-mtime", Kind: Text, Repeat: true, Group: groupStatic, Set: staticExpires("filename", true),
		Example: "/css/.* 3600",
		Help:    "the same, counted from the file's time"},
	{Name: "static-expires-uri", Kind: Text, Repeat: true, Group: groupStatic, Set: staticExpires("uri", false),
		Example: "^/static/ 3600",
		Help:    "Expires header by request URI: REGEXP SECONDS"},
	{Name: "static-expires-uri-mtime", Kind: Text, Repeat: true, Group: groupStatic, Set: staticExpires("uri", true),
		Example: "^/static/ 3600",
		Help:    "the same, counted from the file's time"},
	{Name: "static-expires-path-info", Example: "^/static/ 3600", Kind: Text, Repeat: true, Group: groupStatic,
		Set: staticExpires("path-info", false), Help: "Expires header by path: REGEXP SECONDS"},
	{Name: "static-expires-path-info-mtime", Example: "^/static/ 3600", Kind: Text, Repeat: true, Group: groupStatic,
		Set: staticExpires("path-info", true), Help: "the same, counted from the file's time"},
	{Name: "static-expires-type", Kind: NameValue, Repeat: true, Group: groupStatic, Set: staticExpires("type", false),
		Example: "text/css=3600",
		Help:    "Expires header by content type: TYPE=SECONDS"},
	{Name: "static-expires-type-mtime", Example: "text/css=3600", Kind: NameValue, Repeat: true, Group: groupStatic,
		Set: staticExpires("type", true), Help: "the same, counted from the file's time"},
	{Name: "static-gzip", Example: `\.js$`, Kind: Text, Repeat: true, Group: groupStatic,
		Set:  patterns(func(s *Settings) *[]string { return &s.StaticGzip }),
		Help: "serve FILE.br or FILE.gz where it exists and the path matches"},
	{Name: "static-gzip-all", Kind: Flag, Group: groupStatic,
		Set: flag(func(s *Settings) *bool { return &s.StaticGzipAll }), Help: "… for every file"},
	{Name: "static-gzip-dir", Aliases: []string{"static-gzip-prefix"}, Kind: Path, Repeat: true, Group: groupStatic,
		Set: list(func(s *Settings) *[]string { return &s.StaticGzipDirs }), Help: "… for files of this folder"},
	{Name: "static-gzip-ext", Aliases: []string{"static-gzip-suffix"}, Kind: Text, Repeat: true, Group: groupStatic,
		Example: ".css",
		Set:     list(func(s *Settings) *[]string { return &s.StaticGzipExts }), Help: "… for files that end in this"},
	{Name: "mimefile", Aliases: []string{"mime-file"}, Kind: Path, Repeat: true, Group: groupStatic,
		Example: "/etc/mime.types",
		Set:     placed("mimefile", list(func(s *Settings) *[]string { return &s.MimeFiles })),
		Help:    "table of content types (/etc/mime.types)"},
	{Name: "file-serve-mode", Aliases: []string{"fileserve-mode"}, Kind: Text, Group: groupStatic, Set: fileServeMode,
		Example: "x-accel-redirect",
		Help:    "let the front end send files: x-accel-redirect (nginx) or x-sendfile"},
	{Name: "honour-range", Kind: Flag, Group: groupStatic, Set: flag(func(s *Settings) *bool { return &s.HonourRange }),
		Help: "answer Range requests for files"},
	{Name: "disable-sendfile", Kind: Flag, Group: groupStatic,
		Set: flag(func(s *Settings) *bool { return &s.NoSendfile }), Help: "read and write files instead of sendfile"},
}

func staticMap(kind string) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		prefix, path, err := pairOf(v, "/static=/srv/static")
		if err != nil {
			return err
		}
		prefix, path = strings.TrimSpace(prefix), strings.TrimSpace(path)
		if path == "" {
			return fault("write "+v.Name+" = "+prefix+"=/srv/static", "the folder is missing")
		}
		s.StaticMaps = append(s.StaticMaps, StaticMap{Kind: kind, Prefix: prefix, Path: path})
		return nil
	}
}

func checkStatic(s *Settings, v Value) error {
	if strings.TrimSpace(v.Text) == "" {
		return fault("write "+v.Name+" = /srv/static", "the folder is missing")
	}
	s.StaticMaps = append(s.StaticMaps, StaticMap{Kind: "check", Path: v.Text})
	return nil
}

// staticExpires reads "REGEXP SECONDS" or, by type, "TYPE=SECONDS".
func staticExpires(by string, mtime bool) func(*Settings, Value) error {
	return func(s *Settings, v Value) error {
		text := strings.TrimSpace(v.Text)
		at := strings.LastIndexAny(text, " \t")
		if by == "type" {
			at = strings.LastIndexByte(text, '=')
		}
		if at <= 0 {
			if by == "type" {
				return fault("write "+v.Name+" = text/css=3600", "TYPE=SECONDS is expected")
			}
			return fault("write "+v.Name+" = REGEXP 3600", "a regular expression and seconds are expected")
		}
		n, err := strconv.ParseInt(strings.TrimSpace(text[at+1:]), 10, 64)
		if err != nil || n < 0 {
			return warning("write the seconds as a number", "%q is no number of seconds; the line is left out",
				text[at+1:])
		}
		if by != "type" {
			if _, err := CompilePattern(strings.TrimSpace(text[:at])); err != nil {
				return leftOut(err)
			}
		}
		s.StaticExpires = append(s.StaticExpires, StaticExpires{By: by, Pattern: strings.TrimSpace(text[:at]),
			Seconds: n, Mtime: mtime})
		return nil
	}
}

func fileServeMode(s *Settings, v Value) error {
	switch strings.ToLower(v.Text) {
	case "nginx", "x-accel-redirect", "xaccelredirect":
		s.FileServeMode = "x-accel-redirect"
	case "x-sendfile", "xsendfile":
		s.FileServeMode = "x-sendfile"
	default:
		return warning("write x-accel-redirect or x-sendfile", "%q is neither; files are sent by this server", v.Text)
	}
	return nil
}
