// Command bench puts this server beside its peers: the table of figures in the README. `make bench`
// runs it; QUICK=1 takes about five minutes. Each row loads every side in turn, with the same
// application, worker and thread counts, checks every answer (status, length, content), and
// compares medians of one run. CPU per request is that of the server's whole process tree; the load
// generator is not counted, though it shares the machine.
//
//	go run ./packaging/bench [-quick] [-row REGEXP] [-ours PATH] [-list] [-render]
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"time"
)

func main() { os.Exit(bench()) }

func bench() int {
	quick := flag.Bool("quick", os.Getenv("QUICK") == "1", "about five minutes")
	only := flag.String("row", "", "only rows whose name matches")
	ours := flag.String("ours", "bin/uwsgi", "the server to measure")
	against := flag.String("against", "", "another build of this server, as one more side of each comparison")
	rounds := flag.Int("rounds", 0, "stretches a side, instead of the usual number")
	stretch := flag.Duration("stretch", 500*time.Millisecond, "how long each is, with -rounds")
	sides := flag.String("sides", "", "only the peers whose name matches")
	list := flag.Bool("list", false, "name the rows")
	render := flag.Bool("render", false, "measure nothing: write the tables and plots of the last run again")
	keep := flag.Bool("keep", false, "leave the working directory")
	crowded := flag.Bool("crowd", false, "be the crowd of slow clients: NETWORK ADDRESS IDLE SLOW")
	flag.Parse()
	if *crowded {
		if err := beCrowd(flag.Args()); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			return 1
		}
		return 0
	}
	w := &world{quick: *quick, port: 21000 + os.Getpid()%11000, rounds: *rounds, stretch: *stretch}
	var err error
	if w.root, err = os.Getwd(); err == nil {
		w.ours, err = filepath.Abs(*ours)
	}
	w.apps = filepath.Join(w.root, "packaging", "bench", "apps")
	if err == nil && *against != "" {
		w.against, err = filepath.Abs(*against)
	}
	if err == nil && *render {
		var rep report
		if rep, err = w.read(); err == nil {
			err = w.render(filepath.Join(w.root, "packaging", "bench", "results"), rep)
		}
		if err == nil {
			return 0
		}
	}
	if err == nil && !*list {
		err = w.install()
	}
	if err == nil {
		w.work, err = os.MkdirTemp("", "uwsgi-bench-")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	if !*keep {
		defer os.RemoveAll(w.work)
	}
	match := regexp.MustCompile(*only)
	comparisons := w.rows()
	if *list {
		for _, r := range comparisons {
			fmt.Println(r.id, "-", r.title)
		}
		fmt.Println(specialIDs)
		return 0
	}
	if err := w.prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	raiseFiles()
	debug.SetGCPercent(400)
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	closeJournal, err := openJournal()
	if err == nil {
		defer closeJournal()
	}
	var results []result
	take := func(rs ...result) {
		for i := range rs {
			rs[i].print()
		}
		results = append(results, rs...)
	}
	for _, r := range comparisons {
		if len(interrupted) > 0 {
			break
		}
		if !match.MatchString(r.id) {
			continue
		}
		if r.id == "log-journal" && closeJournal == nil {
			fmt.Fprintln(os.Stderr, "\nlog-journal: skipped:", err)
			continue
		}
		if w.against != "" {
			other := r.sides[0]
			other.name, other.kind, other.binary = "this, before", "us", w.against
			r.sides = append(r.sides[:1:1], append([]side{other}, r.sides[1:]...)...)
			for i := range r.must {
				if len(r.must[i].than) == 0 {
					for _, s := range r.sides[2:] {
						r.must[i].than = append(r.must[i].than, s.name)
					}
				}
			}
		}
		if *sides != "" {
			wanted := regexp.MustCompile(*sides)
			r.sides = append(r.sides[:1:1], slices.DeleteFunc(r.sides[1:],
				func(s side) bool { return !wanted.MatchString(s.name) })...)
		}
		take(w.measure(r))
	}
	for i, run := range w.special() {
		if len(interrupted) == 0 && match.MatchString(specialIDs[i]) {
			take(run()...)
		}
	}
	if *only == "" || len(results) == 0 {
		if err := w.write(results); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			return 1
		}
	}
	wrong := 0
	for _, r := range results {
		wrong += int(r.Sides[0].Wrong)
	}
	if wrong > 0 {
		fmt.Fprintf(os.Stderr, "bench: %d wrong answers of this server\n", wrong)
		return 1
	}
	return 0
}
