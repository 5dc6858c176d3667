package internal_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// facts prints what cmd/uwsgi-worker/Python.h says of layouts, constants and types.
const facts = `
#include <Python.h>
#include <stddef.h>
#include <stdio.h>
#define SIZE(t) printf("sizeof " #t " %zu\n", sizeof(t));
#define AT(t, f) printf(#t "." #f " %zu\n", offsetof(t, f));
#define IS(c) printf(#c " %ld\n", (long)(c));
#define TYPE(f, ...) printf(#f " %d\n", __builtin_types_compatible_p(__typeof__(f), __VA_ARGS__));
static PyModuleDef def = {PyModuleDef_HEAD_INIT, "m", NULL, -1, NULL, NULL, NULL, NULL, NULL};
typedef struct { PyObject_HEAD int first; } ours;
int main(void)
{
	SIZE(PyObject) AT(PyObject, ob_type) AT(ours, first)
	SIZE(PyMethodDef) AT(PyMethodDef, ml_name) AT(PyMethodDef, ml_meth) AT(PyMethodDef, ml_flags) AT(PyMethodDef, ml_doc)
	SIZE(PyGetSetDef) AT(PyGetSetDef, name) AT(PyGetSetDef, get) AT(PyGetSetDef, set) AT(PyGetSetDef, doc) AT(PyGetSetDef, closure)
	SIZE(PyModuleDef) AT(PyModuleDef, m_name) AT(PyModuleDef, m_doc) AT(PyModuleDef, m_size) AT(PyModuleDef, m_methods)
	AT(PyModuleDef, m_slots) AT(PyModuleDef, m_free)
	printf("def %s %ld\n", def.m_name, (long)def.m_size);
	SIZE(PyType_Slot) AT(PyType_Slot, slot) AT(PyType_Slot, pfunc)
	SIZE(PyType_Spec) AT(PyType_Spec, name) AT(PyType_Spec, basicsize) AT(PyType_Spec, itemsize) AT(PyType_Spec, flags) AT(PyType_Spec, slots)
	IS(METH_VARARGS) IS(METH_KEYWORDS) IS(METH_NOARGS) IS(METH_O)
	IS(Py_tp_call) IS(Py_tp_dealloc) IS(Py_tp_doc) IS(Py_tp_iternext) IS(Py_tp_methods) IS(Py_tp_new) IS(Py_tp_getset) IS(Py_am_await)
#ifdef Py_GIL_DISABLED
	AT(PyObject, ob_tid) AT(PyObject, ob_ref_local) AT(PyObject, ob_ref_shared) IS(def.m_base.ob_base.ob_ref_local)
	IS(Py_MOD_GIL_NOT_USED)
#endif
FUNCTIONS
}
`

// prototypes compares each function that our header declares with what the compiler has seen.
func prototypes(t *testing.T, header string) string {
	t.Helper()
	var out strings.Builder
	conditional := false
	for line := range strings.Lines(header) {
		if within := strings.HasPrefix(line, "#ifdef Py_GIL_DISABLED"); within || conditional &&
			(strings.HasPrefix(line, "#else") || strings.HasPrefix(line, "#endif")) {
			conditional = within || !strings.HasPrefix(line, "#endif")
			out.WriteString(line)
		}
		line, _, _ = strings.Cut(strings.TrimSuffix(line, "\n"), ";")
		open := strings.IndexByte(line, '(')
		if open < 0 || !strings.HasSuffix(line, ")") || strings.HasPrefix(line, "\t") ||
			strings.HasPrefix(line, "#") || strings.HasPrefix(line, "static") || strings.HasPrefix(line, "typedef") {
			continue
		}
		at := strings.LastIndexAny(line[:open], " *") + 1
		name := line[at:open]
		if name == "PyUnicode_AsUTF8AndSize" || name == "PyArg_ParseTupleAndKeywords" {
			continue // not of the limited API up to 3.9; with one const more since 3.13
		}
		if !strings.HasPrefix(name, "Py") && !strings.HasPrefix(name, "_Py") || strings.Contains(line[:at], "(") {
			continue
		}
		out.WriteString("\tTYPE(" + name + ", " + line[:at] + line[open:] + ")\n")
	}
	if n := strings.Count(out.String(), "\tTYPE("); n < 80 {
		t.Fatalf("only %d functions were found in Python.h", n)
	}
	return out.String()
}

// Our own Python.h agrees with every real one that is here.
func TestHeaderIsPythons(t *testing.T) {
	includes := []string{includeOf("/usr/bin/python3"), includeOf("python3")}
	agrees(t, includes, "-DPy_LIMITED_API=0x03090000")
}

// Without the GIL it agrees with those of 3.13 and newer, which describe free-threaded builds as
// well.
func TestHeaderIsFreeThreadedPythons(t *testing.T) {
	var includes []string
	pythons, _ := filepath.Glob("/root/.pyenv/versions/3.1[3-9]*/bin/python3")
	built, _ := filepath.Glob("/var/cache/uwsgi-test/free-python-*/bin/python3") // packaging/python.sh
	pythons = append(pythons, built...)
	for _, python := range append(pythons, "/usr/bin/python3", "python3") {
		include := includeOf(python)
		if base := filepath.Base(include); base >= "python3.13" && len(base) >= len("python3.13") { // not 3.9
			includes = append(includes, include)
		}
	}
	agrees(t, includes, "-DPy_GIL_DISABLED=1", "-UPy_LIMITED_API")
}

// includeOf is where a Python says that its headers are.
func includeOf(python string) string {
	out, err := exec.Command(python, "-c", "import sysconfig; print(sysconfig.get_path('include'))").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// agrees compares our header with the real ones in those folders, of which at least one has to be
// there.
func agrees(t *testing.T, includes []string, flags ...string) {
	t.Helper()
	ours := filepath.Join("..", "cmd", "uwsgi-worker")
	header, err := os.ReadFile(filepath.Join(ours, "Python.h"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	source := filepath.Join(dir, "facts.c")
	text := strings.Replace(facts, "FUNCTIONS\n", prototypes(t, string(header)), 1)
	if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	says := func(include string) string {
		t.Helper()
		program := filepath.Join(dir, "facts")
		cmd := exec.Command("cc", append(flags, "-w", "-DPY_SSIZE_T_CLEAN", "-I", include, source, "-o", program,
			"-Wl,--unresolved-symbols=ignore-all")...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", include, err, out)
		}
		out, err := exec.Command(program).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", include, err, out)
		}
		return string(bytes.TrimSpace(out))
	}
	want := says(ours)
	if strings.Count(want, " 1\n") < 80 {
		t.Fatalf("our own header disagrees with itself:\n%s", want)
	}
	seen := 0
	for _, include := range includes {
		if _, err := os.Stat(filepath.Join(include, "Python.h")); err != nil {
			continue
		}
		seen++
		if got := says(include); got != want {
			for g := range strings.Lines(got) {
				if !strings.Contains(want, g) {
					t.Errorf("%s: %s", include, g)
				}
			}
			t.Errorf("%s and our header differ", include)
		}
	}
	if seen == 0 {
		t.Skip("no Python here has its headers")
	}
}
