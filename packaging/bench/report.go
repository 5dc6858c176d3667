package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// report is what results.json holds.
type report struct {
	Date     string            `json:"date"`
	Machine  map[string]string `json:"machine"`
	Versions map[string]string `json:"versions"`
	Pace     string            `json:"pace"`
	Results  []result          `json:"results"`
}

func (w *world) report(results []result) report {
	p := w.pace()
	return report{
		Date: time.Now().UTC().Format("2006-01-02 15:04 UTC"), Machine: machine(), Versions: w.versions(),
		Pace:    fmt.Sprintf("median of %d stretches of %s a side, sides in turn", p.rounds, p.d),
		Results: results,
	}
}

func machine() map[string]string {
	m := map[string]string{"cores": strconv.Itoa(runtime.NumCPU())}
	field := func(file, key string) string {
		f, err := os.Open(file)
		if err != nil {
			return ""
		}
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			if k, v, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(k) == key {
				return strings.TrimSpace(v)
			}
		}
		return ""
	}
	m["cpu"] = field("/proc/cpuinfo", "model name")
	m["memory"] = field("/proc/meminfo", "MemTotal")
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m["kernel"] = unix.ByteSliceToString(u.Release[:])
	}
	return m
}

// write puts the table, the figures and the plots into results/.
func (w *world) write(results []result) error {
	dir := filepath.Join(w.root, "packaging", "bench", "results")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return w.render(dir, w.report(results))
}

// read is the report of an earlier run.
func (w *world) read() (rep report, err error) {
	b, err := os.ReadFile(filepath.Join(w.root, "packaging", "bench", "results", "results.json"))
	if err == nil {
		err = json.Unmarshal(b, &rep)
	}
	return rep, err
}

func (w *world) render(dir string, rep report) error {
	b, err := json.MarshalIndent(rep, "", "\t")
	if err != nil {
		return err
	}
	files := map[string]string{"results.json": string(b) + "\n", "results.md": rep.markdown()}
	for name, text := range rep.plots() {
		files[name] = text
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	fmt.Fprintf(os.Stderr, "\nwritten: %s\n", filepath.Join(dir, "results.md"))
	return rep.intoReadme(filepath.Join(w.root, "README.md"))
}

// intoReadme puts the summary between the two marks that the README has for it.
func (rep *report) intoReadme(path string) error {
	const from, to = "<!-- figures -->\n", "<!-- end of figures -->"
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(b), from)
	_, after, ok2 := strings.Cut(rest, to)
	if !ok || !ok2 {
		return fmt.Errorf("%s: no %s … %s", path, strings.TrimSpace(from), to)
	}
	return os.WriteFile(path, []byte(before+from+rep.summary()+to+after), 0o644)
}

// summaryRows and summarySides are what the README shows: the kinds of use that most readers have,
// beside the servers that most of them know.
var (
	summaryRows  = []string{"keepalive", "connect", "django", "django-page", "unix", "nginx"}
	summarySides = []string{"this", "uWSGI", "gunicorn", "granian", "bjoern", "fastwsgi"}
)

// summary is the README's table: CPU a request, of each server the best of the ways in which it was
// run.
func (rep *report) summary() string {
	var b strings.Builder
	b.WriteString("| CPU a request, µs | " + strings.Join(summarySides, " | ") + " |\n|---|" +
		strings.Repeat("---:|", len(summarySides)) + "\n")
	for _, id := range summaryRows {
		i := slices.IndexFunc(rep.Results, func(r result) bool { return r.ID == id })
		if i < 0 {
			continue
		}
		fmt.Fprintf(&b, "| %s |", rep.Results[i].Title)
		for _, name := range summarySides {
			best := 0.0
			for _, f := range rep.Results[i].Sides {
				if strings.HasPrefix(f.Side, name) && f.CPU > 0 && (best == 0 || f.CPU < best) {
					best = f.CPU
				}
			}
			if best > 0 {
				fmt.Fprintf(&b, " %.1f |", best)
			} else {
				b.WriteString(" – |")
			}
		}
		b.WriteString("\n")
	}
	return b.String() + "\n" + rep.Date + ", " + rep.Machine["cores"] +
		" cores; the whole server, its load generator not counted.\n"
}

func (rep *report) markdown() string {
	var b strings.Builder
	b.WriteString("# Figures of `make bench`\n\n" + rep.setting() + "\n## What must hold\n\n" + rep.table() + "\n## All figures\n")
	for _, r := range rep.Results {
		rep.section(&b, r)
	}
	return b.String()
}

// setting says when, where and how it was measured, and whom.
func (rep *report) setting() string {
	names := make([]string, 0, len(rep.Versions))
	for name := range rep.Versions {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		names[i] = name + " " + rep.Versions[name]
	}
	return fmt.Sprintf("%s · %s cores, %s, %s, Linux %s · %s.\n%s.\n\n", rep.Date, rep.Machine["cores"],
		rep.Machine["cpu"], rep.Machine["memory"], rep.Machine["kernel"], rep.Pace,
		strings.Join(names, ", ")) +
		"CPU is user + system time of the server's whole process tree, in µs a request. The load generator runs on " +
		"the same machine and is not counted. " +
		"Every answer's status, length and content was checked.\n\n"
}

// table is what must hold, and whether it does.
func (rep *report) table() string {
	var b strings.Builder
	b.WriteString("| path | figure | beside | ratio | must | |\n|---|---|---|---|---|---|\n")
	for _, r := range rep.Results {
		for _, v := range r.Verdicts {
			sign, mark := "≤", "✔"
			if more(v.Metric) {
				sign = "≥"
			}
			if !v.Held {
				mark = "✘"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %.2f | %s %.2f | %s |\n", r.Title, label(v.Metric), v.Than,
				v.Ratio, sign, v.Must, mark)
		}
	}
	return b.String()
}

var labels = map[string]string{"cpu": "CPU a request", "rps": "requests/s", "p99": "p99", "pss": "memory, MB",
	"peak_pss": "peak memory, MB", "seconds": "seconds", "ideal": "share of the ideal", "mb_per_s": "MB/s",
	"bytes": "bytes a connection", "share": "% of a processor", "switches": "context switches"}

func label(metric string) string {
	if l, ok := labels[metric]; ok {
		return l
	}
	return metric
}

func (rep *report) section(b *strings.Builder, r result) {
	fmt.Fprintf(b, "\n### %s\n\n", r.Title)
	if r.Note != "" {
		fmt.Fprintf(b, "%s.\n\n", r.Note)
	}
	var extras []string
	load := false
	for _, f := range r.Sides {
		load = load || f.RPS > 0
		for k := range f.Extra {
			if !slices.Contains(extras, k) {
				extras = append(extras, k)
			}
		}
	}
	slices.Sort(extras)
	head, rule := "| |", "|---|"
	if load {
		head, rule = head+" CPU µs | ± | requests/s | p50 µs | p99 µs |", rule+"---:|---:|---:|---:|---:|"
	}
	for _, k := range extras {
		head, rule = head+" "+label(k)+" |", rule+"---:|"
	}
	fmt.Fprintf(b, "%s\n%s\n", head, rule)
	for _, f := range r.Sides {
		fmt.Fprintf(b, "| %s |", f.Side)
		if load && f.RPS > 0 {
			fmt.Fprintf(b, " %.1f | %.0f %% | %.0f | %.0f | %.0f |", f.CPU, f.Spread*50, f.RPS, f.P50, f.P99)
		} else if load {
			b.WriteString(" – | | | | |")
		}
		for _, k := range extras {
			fmt.Fprintf(b, " %.3g |", f.Extra[k])
		}
		if f.Wrong > 0 || f.Error != "" {
			first, _, _ := strings.Cut(f.Error, "\n")
			fmt.Fprintf(b, " %d wrong answers: %s", f.Wrong, strings.ReplaceAll(first, "|", "/"))
		}
		b.WriteString("\n")
	}
}

// asynchronous are the rows without uWSGI.
var asynchronous = regexp.MustCompile(`^(asgi|websocket|gevent)-`)

// plots are the pictures of the README.
func (rep *report) plots() map[string]string {
	out := map[string]string{}
	var ratios []bar
	for _, r := range rep.Results {
		switch r.ID {
		case "keepalive", "connect":
			var bars []bar
			for _, f := range r.Sides {
				if f.CPU > 0 {
					bars = append(bars, bar{f.Side, f.CPU})
				}
			}
			slices.SortStableFunc(bars, func(a, b bar) int { return int(1000 * (a.value - b.value)) })
			out[r.ID+".svg"] = barPlot(r.Title+": CPU µs a request", bars, 0)
		case "grow-connections", "grow-workers", "grow-uploads", "grow-downloads":
			out[r.ID+".svg"] = linePlot(r)
		}
		for _, v := range r.Verdicts {
			if v.Metric == "cpu" && r.ID != "keepalive" && !asynchronous.MatchString(r.ID) {
				ratios = append(ratios, bar{r.Title, v.Ratio})
			}
		}
	}
	if len(ratios) > 0 {
		out["ratios.svg"] = barPlot("CPU a request, the best uWSGI = 1", ratios, 1)
	}
	return out
}
