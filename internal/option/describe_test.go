package option

import "testing"

// TestSamples: what the help shows as an example is taken without a word.
func TestSamples(t *testing.T) {
	for _, r := range All() {
		if r.Standing != Honoured || r.Kind == Flag || r.Kind == FlagOff {
			continue
		}
		sample := r.Sample()
		if sample == "" && !r.Optional {
			t.Errorf("%s has no example", r.Name)
		}
		if r.Set == nil || sample == "" {
			continue
		}
		if err := r.Set(Default(), Value{Name: r.Name, Text: sample, Given: true}); err != nil {
			t.Errorf("%s = %s: %v", r.Name, sample, err)
		}
	}
}

func TestInitial(t *testing.T) {
	for name, want := range map[string]string{
		"processes": "1", "buffer-size": "65536", "socket-timeout": "4", "need-app": "true", "master": "false",
		"disable-logging": "false", "protocol": "uwsgi", "cheaper-algo": "spare", "harakiri": "", "umask": "",
		"websockets-max-size": "16384", "module": "", "worker-reload-mercy": "60", "asgi-loop": "auto",
	} {
		r, ok := Lookup(name)
		if !ok {
			t.Fatalf("there is no option %s", name)
		}
		if got := r.Initial(); got != want {
			t.Errorf("%s is %q where nobody sets it, want %q", name, got, want)
		}
	}
}
