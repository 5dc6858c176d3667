package loader

import (
	"debug/elf"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// preload says what the dynamic linker must load before the interpreter, "" for nothing: where it
// is musl's, the library with the Go runtime, whose thread-local variables musl has room for only
// in what is there when a program starts. It fails where the library is built for another C library
// than the interpreter.
func preload(python, library string) (string, error) {
	theirs, ok := interpreterOf(python)
	if !ok { // a script, which starts another program: loader.py looks once it runs
		return "", nil
	}
	ours, err := elf.Open(library)
	if err != nil {
		return "", nil // told where it is loaded
	}
	defer ours.Close()
	needed, err := ours.ImportedLibraries()
	if err != nil {
		return "", nil
	}
	forMusl := slices.ContainsFunc(needed, func(name string) bool {
		return name == "libc.so" ||
			strings.HasPrefix(name, "libc.musl-")
	})
	onMusl := strings.Contains(theirs, "/ld-musl-")
	switch {
	case forMusl && !onMusl:
		return "", fmt.Errorf("%s is linked with glibc, and this server is built for musl: install the manylinux wheel",
			python)
	case forMusl:
		return library, nil
	}
	return "", nil
}

// Fits says why the worker library, which lies in libDir, cannot be loaded into an interpreter that
// a user runs; nil = this process's.
func Fits(python, libDir string, cred *syscall.Credential) error {
	if err := reachable(libDir, cred); err != nil {
		return err
	}
	_, err := preload(python, filepath.Join(libDir, libraryName))
	return err
}

// interpreterOf is the dynamic linker that a program asks for (PT_INTERP); false where the file is
// no ELF program that asks for one.
func interpreterOf(program string) (string, bool) {
	f, err := elf.Open(program)
	if err != nil {
		return "", false
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP || p.Filesz > 4096 {
			continue
		}
		path, err := io.ReadAll(p.Open())
		return strings.TrimRight(string(path), "\x00"), err == nil
	}
	return "", false
}
