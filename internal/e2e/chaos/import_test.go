package chaos

import (
	"fmt"
	"testing"
)

// An application that takes descriptors away while it is imported, ours or all that are left: one
// clear line and the right exit status.
func TestImportTakesDescriptors(t *testing.T) {
	const after = "\ndef application(environ, start): return []\n"
	hoard := func(left int) string {
		return fmt.Sprintf("kept = []\ntry:\n    while True: kept.append(open('/dev/null'))\nexcept OSError:\n    "+
			"del kept[len(kept) - %d:]\n", left)
	}
	for name, c := range map[string]struct {
		code  string
		args  []string
		exit  int
		says  string
		allow []string
	}{
		"closes ours": {"import os\nos.closerange(3, 65536)\n", nil, 22, `^the application has closed descriptors that are not its own`, nil},
		"closes ours and opens others": {"import os\nos.closerange(3, 65536)\nkept = [open('/dev/null') for _ in range(20)]\n", nil, 22,
			`^the application has closed descriptors that are not its own`, nil},
		"closes ours, lazy-apps": {"import os\nos.closerange(3, 65536)\n", []string{"--lazy-apps"}, 22, `^the application has closed descriptors that are not its own`, nil},
		"closes ours, no master": {"import os\nos.closerange(3, 65536)\n", []string{"--master=false"}, 22, `^the application has closed descriptors that are not its own`, nil},
		"leaves none, no master": {hoard(0), []string{"--master=false"}, 1, `no descriptor is left for it: .*max-fd`, nil},
		"leaves none":            {hoard(0), nil, 1, `cannot be forked: fork: no descriptor is left for it: .*max-fd`, []string{`cannot be forked`}},
		"leaves one":             {hoard(1), nil, 1, `^RuntimeError: .*too many open files`, []string{`Traceback`, `DAMN !`}},
		"leaves four":            {hoard(4), nil, 1, `^(RuntimeError|OSError): .*[Tt]oo many open files`, []string{`Traceback`, `DAMN !`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.Allow(append(c.allow, `exiting with status`)...)
			r.Write("app.py", c.code+after)
			r.Launch(r.args(append(c.args, "-p", "1", "--max-fd", "64", "--forkbomb-delay", "0")...)...)
			if code := r.Exit(); code != c.exit {
				t.Errorf("exit status %d, want %d", code, c.exit)
			}
			r.Log.Wait(t, c.says)
		})
	}
}
