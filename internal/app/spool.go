package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"uwsgi/internal/escape"
	"uwsgi/internal/option"
	"uwsgi/internal/spool"
)

const spoolUsage = `usage: uwsgi spool FOLDER [--json]                 the jobs of a spooler
       uwsgi spool FOLDER show JOB … [--json]      what they say, and why they failed
       uwsgi spool FOLDER retry JOB … | --failed   run them at once, their attempts counted anew
       uwsgi spool FOLDER drop JOB … | --failed    remove them
A job is named as in the list; the end of its name will do where no other ends so.
`

// spoolCommand is `uwsgi spool`.
func spoolCommand(args []string, std Streams) int {
	asJSON := slices.Contains(args, "--json")
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "--json" })
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		fmt.Fprint(std.Err, spoolUsage)
		return exitUsage
	}
	folder, err := spool.Open(args[0])
	if err != nil {
		return complain(std.Err, err)
	}
	defer folder.Close()
	verb, names := "list", []string(nil)
	if len(args) > 1 {
		verb, names = args[1], args[2:]
	}
	do, known := map[string]func(*spool.Folder, []string) error{
		"list":  func(f *spool.Folder, _ []string) error { return listJobs(f, std.Out, asJSON) },
		"show":  func(f *spool.Folder, names []string) error { return showJobs(f, names, std.Out, asJSON) },
		"retry": func(f *spool.Folder, names []string) error { return each(names, f.Retry) },
		"drop":  func(f *spool.Folder, names []string) error { return each(names, f.Drop) },
	}[verb]
	if !known || (verb == "list") != (len(names) == 0) {
		fmt.Fprint(std.Err, spoolUsage)
		return exitUsage
	}
	if names, err = meant(folder, names); err == nil {
		err = do(folder, names)
	}
	if err != nil {
		fmt.Fprintln(std.Err, escape.Lines(err.Error()))
		return exitError
	}
	return exitOK
}

// meant are the jobs that arguments stand for.
func meant(folder *spool.Folder, args []string) (names []string, err error) {
	for _, arg := range args {
		if arg != "--failed" {
			name, err := folder.Find(arg)
			if err != nil {
				return nil, err
			}
			names = append(names, name)
			continue
		}
		jobs, err := folder.List()
		if err != nil {
			return nil, err
		}
		for _, job := range jobs {
			if job.State == spool.Failed {
				names = append(names, job.Name)
			}
		}
	}
	return names, nil
}

// each does the same with all of them, whatever becomes of one.
func each(names []string, do func(string) error) error {
	var errs []error
	for _, name := range names {
		errs = append(errs, do(name))
	}
	return errors.Join(errs...)
}

func listJobs(folder *spool.Folder, out io.Writer, asJSON bool) error {
	jobs, err := folder.List()
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(out).Encode(append([]spool.Job{}, jobs...))
	}
	if len(jobs) == 0 {
		fmt.Fprintln(out, "no jobs")
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "JOB\tSTATE\tATTEMPTS\tSIZE\tPUT\tDUE\tWHY")
	for _, j := range jobs {
		lines := strings.Split(strings.TrimSpace(j.Why), "\n")
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\t%s\n", escape.String(j.Name), j.State, j.Attempts, j.Size,
			clock(j.Put), clock(j.Due), escape.String(lines[len(lines)-1]))
	}
	return w.Flush()
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

func showJobs(folder *spool.Folder, names []string, out io.Writer, asJSON bool) error {
	for _, name := range names {
		job, err := folder.Show(name)
		if err != nil {
			return err
		}
		if asJSON {
			if err := json.NewEncoder(out).Encode(job); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(out, "%s (%s, %d bytes, put %s, attempts %d)\n", escape.String(job.Name), job.State, job.Size,
			clock(job.Put), job.Attempts)
		for _, pair := range job.Variables {
			fmt.Fprintf(out, "  %s = %s\n", escape.String(pair[0]), escape.String(pair[1]))
		}
		if len(job.Body) > 0 {
			fmt.Fprintf(out, "  body: %d bytes: %s\n", len(job.Body),
				escape.String(string(job.Body[:min(200, len(job.Body))])))
		}
		if job.Why != "" {
			fmt.Fprintln(out, escape.Lines(strings.TrimSpace(job.Why)))
		}
	}
	return nil
}

// spoolers looks at the folders of the spoolers, as the user who will write there.
func (in *instance) spoolers(d *deployment) error {
	for _, s := range d.cfg.Settings.Spoolers {
		if s.Remote() {
			continue
		}
		warning, err := spool.Check(s.Dir)
		if err != nil {
			name := "spooler"
			if s.External {
				name = "spooler-external"
			}
			return option.Wrong(name, s.Dir, err)
		}
		if warning != "" {
			d.log.Print("*** WARNING: " + warning + " ***")
		}
	}
	return nil
}
