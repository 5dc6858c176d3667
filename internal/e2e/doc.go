// Package e2e tests the program through its front door: bin/uwsgi as `make build` makes it, real
// Django and Flask, a real nginx, and the real uWSGI where the two are compared. Run it with go
// test ./internal/e2e; it fails, and skips nothing, where something is missing (packaging/deps.sh
// test installs that).
//
//	harness/       starts and watches instances, clients, nginx, virtualenvs; the hygiene check at the end of every test
//	testdata/      the seed's files as they are, the applications, the golden command lines
//	differences.md every difference to the real uWSGI that the comparison finds, with its reason
package e2e
