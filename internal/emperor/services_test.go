package emperor

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"uwsgi/internal/option"
	"uwsgi/internal/units"
)

// A vassal whose file comes back while the last of it is being stopped keeps its drop-ins.
func TestDropInsOfOneThatCameBack(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.ini")
	if err := os.WriteFile(file, []byte("[uwsgi]\nuid = 65534\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	u := &services{Config: Config{Settings: option.Default()}, folder: t.TempDir(), known: map[string]units.Tree{},
		ctx: context.Background()}
	v := vassal{id: "a.ini", name: "a", file: file}
	if _, written, err := u.prepare(change{start, v}); err != nil || !written {
		t.Fatal(written, err)
	}
	tree := u.known["a"]
	delete(u.known, "a")
	if _, written, err := u.prepare(change{start, v}); err != nil || written {
		t.Fatal(written, err)
	}
	if u.remove("a", tree) || !tree.In(u.folder) {
		t.Error("its drop-ins are gone")
	}
	delete(u.known, "a")
	if !u.remove("a", tree) || tree.In(u.folder) {
		t.Error("the drop-ins of one that is gone stay")
	}
}
