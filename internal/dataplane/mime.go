package dataplane

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"

	"uwsgi/internal/escape"
)

// mimeTypes gives files their Content-Type by extension: from the mimefile options, else from a
// table of our own and, for what that does not know, from /etc/mime.types. Nothing is read before
// it is needed, so that a worker that serves no files does not pay.
type mimeTypes struct {
	files []string
	place func(name, value string) string // option.Settings.Place

	own    sync.Once
	byExt  map[string]string
	system sync.Once
	rest   map[string]string
}

const systemMime = "/etc/mime.types"

// of gives the type of the file at path, "" when nothing is known of it.
func (m *mimeTypes) of(path []byte) string {
	dot := bytes.LastIndexByte(path, '.')
	if dot < 0 || bytes.IndexByte(path[dot:], '/') >= 0 || len(path)-dot > 33 {
		return ""
	}
	var buf [32]byte
	ext := buf[:copy(buf[:], path[dot+1:])]
	for i, c := range ext {
		if c >= 'A' && c <= 'Z' {
			ext[i] = c + 'a' - 'A'
		}
	}
	m.own.Do(m.load)
	if t, ok := m.byExt[string(ext)]; ok {
		return t
	}
	if len(m.files) > 0 {
		return ""
	}
	m.system.Do(func() {
		m.rest = map[string]string{}
		readMime(m.rest, systemMime) // a system without one knows our own table only
	})
	return m.rest[string(ext)]
}

func (m *mimeTypes) load() {
	m.byExt = map[string]string{}
	if len(m.files) == 0 {
		parseMime(m.byExt, builtinMime)
		return
	}
	for _, path := range m.files {
		if err := readMime(m.byExt, path); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %s\n", escape.String(m.place("mimefile", path)), escape.String(err.Error()))
		}
	}
}

func readMime(into map[string]string, path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	parseMime(into, string(b))
	return nil
}

// parseMime reads the form of mime.types: a type and its extensions a line. Of two lines with one
// extension the first counts.
func parseMime(into map[string]string, text string) {
	for line := range strings.Lines(text) {
		if i := strings.IndexByte(line, '#'); i >= 0 {
			line = line[:i]
		}
		fields := strings.Fields(line)
		for _, ext := range fields[min(1, len(fields)):] {
			if _, ok := into[ext]; !ok {
				into[ext] = fields[0]
			}
		}
	}
}

// builtinMime is what websites are made of.
const builtinMime = `
text/html html htm shtml
text/css css
text/javascript js mjs
application/json json map
image/svg+xml svg svgz
image/png png
image/jpeg jpg jpeg
image/gif gif
image/webp webp
image/avif avif
image/x-icon ico
image/bmp bmp
image/tiff tif tiff
font/woff woff
font/woff2 woff2
font/ttf ttf
font/otf otf
application/vnd.ms-fontobject eot
text/plain txt text log
text/markdown md
text/csv csv
text/xml xml
text/vcard vcf
text/calendar ics
application/xhtml+xml xhtml
application/rss+xml rss
application/atom+xml atom
application/wasm wasm
application/manifest+json webmanifest
application/pdf pdf
application/rtf rtf
application/zip zip
application/gzip gz tgz
application/x-bzip2 bz2
application/x-xz xz
application/zstd zst
application/x-7z-compressed 7z
application/x-tar tar
application/vnd.rar rar
application/java-archive jar
application/octet-stream bin iso img dmg exe deb
audio/mpeg mp3
audio/mp4 m4a
audio/ogg ogg oga opus
audio/x-wav wav
audio/flac flac
video/mp4 mp4 m4v
video/webm webm
video/mpeg mpeg mpg
video/quicktime mov
video/x-msvideo avi
video/x-matroska mkv
application/vnd.apple.mpegurl m3u8
video/mp2t ts
application/msword doc
application/vnd.ms-excel xls
application/vnd.ms-powerpoint ppt
application/vnd.openxmlformats-officedocument.wordprocessingml.document docx
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet xlsx
application/vnd.openxmlformats-officedocument.presentationml.presentation pptx
application/vnd.oasis.opendocument.text odt
application/vnd.oasis.opendocument.spreadsheet ods
`
