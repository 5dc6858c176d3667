package config

import "testing"

// BenchmarkLoad reads a file of ordinary size, as a generator at boot does once an instance.
func BenchmarkLoad(b *testing.B) {
	host := fakeHost(map[string]string{"x.ini": "[uwsgi]\nbase = /srv\nchdir = %(base)/x\nmodule = a\nprocesses = " +
		"4\nsocket = :8000 # c\nvaccum = 1\n" +
		"harakiri = 60\nbuffer-size = 65536\nlog-format = %(addr)\nif-env = HOME\nenv = A=%(_)\nendif =\nstatic-map = /a=/b\n"})
	for b.Loop() {
		if _, err := Load([]string{"--ini", "x.ini"}, []string{"HOME=/root"}, host); err != nil {
			b.Fatal(err)
		}
	}
}
