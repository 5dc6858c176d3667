package project

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const manage = `os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')`

// TestFind: each case is the files of a folder, as PATH=TEXT, and what is found in it.
func TestFind(t *testing.T) {
	for _, c := range []struct {
		files []string
		want  string // Kind Module wsgi|asgi, folder below the root
	}{
		{[]string{"manage.py=" + manage, "mysite/settings.py=WSGI_APPLICATION = 'mysite.wsgi.application'"}, "Django mysite.wsgi:application wsgi ."},
		{[]string{"manage.py=" + manage, "mysite/settings.py=WSGI_APPLICATION = 'mysite.wsgi.application'\nASGI_APPLICATION = 'mysite.asgi.application'\n"},
			"Django mysite.asgi:application asgi ."},
		{[]string{"manage.py=" + manage, "mysite/settings.py=", "mysite/asgi.py="}, "Django mysite.asgi:application asgi ."},
		{[]string{"manage.py=" + manage, "mysite/settings.py="}, "Django mysite.wsgi:application wsgi ."},
		{[]string{"backend/manage.py=" + manage, "backend/mysite/settings.py=", "docs/conf.py="}, "Django mysite.wsgi:application wsgi backend"},
		{[]string{"manage.py=os.environ.setdefault(\"DJANGO_SETTINGS_MODULE\", \"config.settings.local\")",
			"config/settings/local.py=from .base import *", "config/settings/base.py=WSGI_APPLICATION = \"config.wsgi.application\""},
			"Django config.wsgi:application wsgi ."},
		{[]string{"wsgi.py=application = get_wsgi_application()"}, "Django wsgi:application wsgi ."},
		{[]string{"app.py=from flask import Flask\napp = Flask(__name__)\n"}, "Flask app:app wsgi ."},
		{[]string{"app.py=import flask\nserver: flask.Flask = flask.Flask(__name__)\n"}, "Flask app:server wsgi ."},
		{[]string{"main.py=from fastapi import FastAPI\napp = FastAPI()\n"}, "FastAPI main:app asgi ."},
		{[]string{"app/main.py=from fastapi import FastAPI\napp: FastAPI = FastAPI(\n  title='x')\n", "app/__init__.py="}, "FastAPI app.main:app asgi ."},
		{[]string{"src/shop/app.py=app = Starlette()"}, "Starlette shop.app:app asgi src"},
		{[]string{"flaskr/__init__.py=from flask import Flask\ndef create_app(test_config=None):\n    app = Flask(__name__)\n    return app\n"},
			"Flask flaskr:create_app() wsgi ."},
		{[]string{"wsgi.py=from shop import create_app\napp = create_app()\n", "shop/__init__.py=def create_app():\n  return Flask(__name__)"},
			" wsgi:app wsgi ."},
		{[]string{"wsgi.py=from shop import app as application, app\n"}, " wsgi:application wsgi ."},
		{[]string{"app.py=def application(environ, start_response):\n    pass"}, "WSGI app:application wsgi ."},
		{[]string{"app.py=async def app(scope, receive, send):\n    pass"}, "ASGI app:app asgi ."},
		{[]string{"app.py=import falcon.asgi\nmine = falcon.asgi.App()\n"}, "Falcon app:mine asgi ."},
		{[]string{"main.py=api = FastAPI()\napp = FastAPI()\n"}, "FastAPI main:app asgi ."},
		{[]string{"main.py=app = FastAPI()\n", "wsgi.py=app = Flask(__name__)\n"}, "Flask wsgi:app wsgi ."},
		{[]string{"venv/pyvenv.cfg=", "venv/bin/python=", "venv/app.py=app = Flask(__name__)", "run.py=print(1)"}, ""},
		{nil, ""},
	} {
		dir := tree(t, c.files...)
		p, err := Find(dir, "", "")
		got := ""
		if err == nil {
			kind := map[bool]string{true: "asgi", false: "wsgi"}[p.ASGI]
			at, _ := filepath.Rel(dir, p.Dir)
			got = p.Kind + " " + p.Module + " " + kind + " " + at
		}
		if got != c.want {
			t.Errorf("%q is %q, want %q (%v)", c.files, got, c.want, err)
		}
	}
	if _, err := Find("/nothing/of/this/name", "", ""); err == nil {
		t.Error("a folder that is not there holds a project")
	}
}

func tree(t *testing.T, files ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "my site")
	for _, f := range append(files, "README.md=") {
		name, text, _ := strings.Cut(f, "=")
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestVirtualenv(t *testing.T) {
	dir := tree(t, "app.py=app = Flask(__name__)", ".venv/pyvenv.cfg=", ".venv/bin/python=")
	active := tree(t, "pyvenv.cfg=", "bin/python=")
	own := tree(t, "pyvenv.cfg=", "bin/python=")
	for _, c := range []struct{ dir, active, own, want string }{
		{dir, active, own, filepath.Join(dir, ".venv")},
		{tree(t, "app.py=app = Flask(__name__)"), active, own, active},
		{tree(t, "app.py=app = Flask(__name__)"), "", own, own},
		{tree(t, "app.py=app = Flask(__name__)", "venv/pyvenv.cfg="), "", "", ""},
	} {
		if p, err := Find(c.dir, c.active, c.own); err != nil || p.Venv != c.want {
			t.Errorf("%s: %+v, %v, want %s", c.dir, p, err, c.want)
		}
	}
}

func TestStatic(t *testing.T) {
	for settings, want := range map[string]string{
		"STATIC_URL = 'static/'\n":                                                            "/static ",
		"STATIC_URL = '/s/'\nSTATIC_ROOT = BASE_DIR / 'out'\n":                                "/s out",
		"STATIC_URL = 'static/'\nSTATIC_ROOT = os.path.join(BASE_DIR, \"static\")\n":          "/static static",
		"STATIC_URL = 'https://cdn.example.com/'\nSTATIC_ROOT = '/srv/static'\n":              " ../../../../srv/static",
		"STATIC_URL = f'{PREFIX}/static/'\n# STATIC_ROOT = BASE_DIR / 'out'\nSTATIC_ROOT = x": " ",
	} {
		dir := tree(t, "manage.py="+manage, "mysite/settings.py="+settings)
		p, err := Find(dir, "", "")
		if err != nil {
			t.Fatal(err)
		}
		static := p.Static
		if strings.HasPrefix(static, dir) {
			static, _ = filepath.Rel(dir, static)
		}
		want = strings.Replace(want, "../../../..", "", 1)
		if got := p.StaticURL + " " + static; got != want {
			t.Errorf("%q: %q, want %q", settings, got, want)
		}
	}
}
