# The commands everybody relies on; README.md says what each is for. Everything is installed on demand, with apt where we are root.
SHELL := /bin/bash
.DELETE_ON_ERROR:

VERSION := 3.0.0
PREFIX ?= /usr
GO ?= go
export GO
export PATH := $(PATH):/usr/sbin:/sbin
# Below it Go and pip keep what they fetch: in the tree, where there is none that can be written.
ifneq ($(shell [ -n "$$HOME" ] && [ -w "$$HOME" ] && echo writable),writable)
export HOME := $(CURDIR)/.home
endif
BIN := bin
LIB := $(BIN)/lib/uwsgi
# What writes manual pages and completion: another machine's program cannot run here.
TELLER ?= $(BIN)/uwsgi

.PHONY: all build worker run check e2e chaos chaos-short sanitize sanitize-short lab test bench install install-system deb packages dist wheel wheel-test wheel-short musl musl-short free free-short free-tsan container roots same clean deps

all: build

# What is done, and how long it took.
step = @. packaging/step.sh; step

# What root alone can test is left out for others, and summed up at the end. UWSGI_ROOT_NEEDED=1, as in CI: it fails.
export UWSGI_SKIPPED := $(CURDIR)/$(BIN)/skipped
summary = @[ ! -e "$$UWSGI_SKIPPED" ] || { echo "skipped, needs root:"; sort -u "$$UWSGI_SKIPPED" | sed "s/^/  /"; }

# What each target needs besides what `build` does (packaging/deps.sh): all of it is asked for at once, before anything is done.
NEEDS_run := run
NEEDS_check := check
NEEDS_e2e := test async
NEEDS_chaos := test async
NEEDS_chaos-short := test async
NEEDS_bench := test async
NEEDS_sanitize := test
NEEDS_sanitize-short := test
NEEDS_musl := test musl
NEEDS_musl-short := test musl
NEEDS_free := test async free
NEEDS_free-short := test async free
NEEDS_free-tsan := test free
NEEDS_container := container pip
NEEDS_test := check test async musl free container pip
ifeq ($(shell id -u),0)
NEEDS_test += deb lab
endif
NEEDS_deb = deb $(ARCH:%=deb-%)
NEEDS_wheel := wheel
NEEDS_wheel-test := wheel free
NEEDS_wheel-short := pip
NEEDS_packages := wheel
NEEDS_dist := deb wheel
NEEDS_roots := deb wheel roots musl
deps:
	@mkdir -p $(BIN); rm -f "$$UWSGI_SKIPPED"
	@packaging/deps.sh build $(foreach goal,$(MAKECMDGOALS),$(NEEDS_$(goal)))

build: deps
	@packaging/compile.sh programs $(BIN)
	@packaging/compile.sh redis $(BIN)
	@$(MAKE) --no-print-directory worker
	@echo "built: $(BIN)/uwsgi --http :8000 --module mysite.wsgi starts it, make run a demo"

worker:
	@packaging/compile.sh library $(BIN)

# A demo application of our own on http://127.0.0.1:8000.
run: build
	$(BIN)/uwsgi --ini packaging/demo/uwsgi.ini

# The everyday check: format, vet, staticcheck, unit tests under the race detector, a short fuzz of every parser, import directions.
check: build
	packaging/check.sh
	$(summary)

# Most tests of a server wait: for clocks, deadlines, the start of an interpreter.
WAITING = -parallel $$((2 * $$(nproc)))

# The suites that start the real thing: nginx, Django, Flask, the real uWSGI beside us …
e2e: build
	$(step) "the end-to-end suite" $(GO) test -count=1 -timeout 15m $(WAITING) ./internal/e2e ./internal/e2e/harness
	$(summary)

# … faults and hostile clients: with full counts, and with those that take a minute …
chaos: build
	$(step) "faults and hostile clients, with full counts" env UWSGI_CHAOS=full $(GO) test -count=1 -timeout 40m -v ./internal/e2e/chaos

chaos-short: build
	$(step) "faults and hostile clients" $(GO) test -count=1 -timeout 15m $(WAITING) ./internal/e2e/chaos
	$(summary)

# … the worker library under the address sanitizer and the supervisor under the race detector …
sanitize: build
	$(step) "sanitizers" packaging/sanitize.sh

sanitize-short: build
	$(step) "sanitizers" packaging/sanitize.sh short
	$(summary)

# … and booted systemds, bookworm's and trixie's, with the package installed.
lab:
	$(step) "booted systemds" packaging/lab/run.sh

test: check e2e chaos-short sanitize-short wheel-short musl-short free-short container lab
	$(summary)

bench: build
	$(GO) run ./packaging/bench

# All that a machine has of it, below $(DESTDIR), after `make build`: the packages are made of this. What systemd starts names /usr: with
# another PREFIX that, and /etc/uwsgi, are left out.
ETC := $(DESTDIR)/etc
USR := $(DESTDIR)$(PREFIX)
install:
	@[ -e $(BIN)/uwsgi ] || { echo 'there is no $(BIN)/uwsgi yet: make build' >&2; exit 1; }
	install -D -m 755 $(BIN)/uwsgi "$(USR)"/bin/uwsgi
	ln -sfn uwsgi "$(USR)"/bin/uwsgi-core
	install -d "$(USR)"/lib/uwsgi "$(USR)"/share/man/man1 "$(USR)"/share/man/man5 "$(USR)"/share/man/man8 "$(USR)"/share/bash-completion/completions \
		"$(USR)"/share/zsh/site-functions "$(USR)"/share/zsh/vendor-completions "$(USR)"/share/fish/vendor_completions.d
	install -m 644 $(LIB)/*.so $(LIB)/*.py "$(USR)"/lib/uwsgi/
	install -m 755 $(LIB)/uwsgi-redis "$(USR)"/lib/uwsgi/
	umask 022; $(TELLER) man uwsgi >"$(USR)"/share/man/man1/uwsgi.1
	umask 022; $(TELLER) man uwsgi.ini >"$(USR)"/share/man/man5/uwsgi.ini.5
	install -m 644 packaging/man/uwsgi-generator.8 "$(USR)"/share/man/man8/
	umask 022; $(TELLER) completion bash >"$(USR)"/share/bash-completion/completions/uwsgi
	umask 022; $(TELLER) completion zsh >"$(USR)"/share/zsh/vendor-completions/_uwsgi # Debian's
	umask 022; $(TELLER) completion zsh >"$(USR)"/share/zsh/site-functions/_uwsgi
	umask 022; $(TELLER) completion fish >"$(USR)"/share/fish/vendor_completions.d/uwsgi.fish
	install -D -m 644 packaging/conf/default.ini "$(USR)"/share/uwsgi/conf/default.ini
	install -d "$(USR)"/share/uwsgi/nginx "$(USR)"/share/doc/uwsgi/examples/hello "$(USR)"/share/doc/uwsgi/examples/systemd
	install -m 644 packaging/nginx/*.conf "$(USR)"/share/uwsgi/nginx/
	install -m 644 packaging/example/* "$(USR)"/share/doc/uwsgi/examples/hello/
	install -m 644 packaging/docs/*.md "$(USR)"/share/doc/uwsgi/
	install -m 644 systemd/examples/* "$(USR)"/share/doc/uwsgi/examples/systemd/
ifeq ($(PREFIX),/usr)
	$(MAKE) --no-print-directory install-system
else
	@echo "installed below $(USR), without systemd's units and /etc/uwsgi, which name /usr (PREFIX=/usr)"
endif

install-system:
	install -d "$(USR)"/lib/systemd/system "$(USR)"/lib/systemd/system-generators "$(USR)"/lib/systemd/catalog "$(USR)"/lib/tmpfiles.d
	install -m 644 systemd/*.service systemd/*.socket "$(USR)"/lib/systemd/system/
	install -m 644 systemd/*.catalog "$(USR)"/lib/systemd/catalog/
	install -m 644 systemd/uwsgi.tmpfiles.conf "$(USR)"/lib/tmpfiles.d/uwsgi.conf
	ln -sfn ../../../bin/uwsgi "$(USR)"/lib/systemd/system-generators/uwsgi-generator
	install -d "$(ETC)"/uwsgi/apps-available "$(ETC)"/uwsgi/apps-enabled "$(ETC)"/uwsgi-emperor/vassals "$(ETC)"/default "$(DESTDIR)"/var/log/uwsgi/app
	install -m 644 packaging/conf/apps-available.README "$(ETC)"/uwsgi/apps-available/README
	install -m 644 packaging/conf/apps-enabled.README "$(ETC)"/uwsgi/apps-enabled/README
	install -m 644 packaging/conf/vassals.README "$(ETC)"/uwsgi-emperor/vassals/README
	install -m 644 packaging/conf/emperor.ini "$(ETC)"/uwsgi-emperor/emperor.ini
	install -m 644 packaging/conf/default "$(ETC)"/default/uwsgi

# The packages of other distributions, for x86_64 and aarch64, and all of it with its sums and a bill of materials.
packages: build wheel
	packaging/nfpm/build.sh

dist: deps
	rm -rf dist
	$(MAKE) --no-print-directory deb ARCH=amd64
	$(MAKE) --no-print-directory deb ARCH=arm64
	$(MAKE) --no-print-directory packages
	packaging/dist.sh

# ARCH=arm64: for another architecture than this machine's.
deb: deps
	packaging/deb.sh $(ARCH)

# For x86_64 and aarch64, glibc and musl, with zig from PyPI as the C compiler; for free-threaded Pythons with glibc; and the source.
wheel: deps
	mkdir -p dist
	$$(packaging/deps.sh tools)/bin/python packaging/wheel/backend.py dist manylinux-x86_64 manylinux-aarch64 musllinux-x86_64 musllinux-aarch64 \
		manylinux-x86_64-cp313t manylinux-aarch64-cp313t \
		redis-x86_64 redis-aarch64 sdist

# Installs them as people do, with every CPython that is here.
wheel-test: wheel
	packaging/wheel/test.sh

# The end-to-end suite under a Python that is linked with musl, as Alpine's is.
musl: build
	$(step) "a Python with musl" packaging/under.sh musl

musl-short: build
	$(step) "a Python with musl" packaging/under.sh musl short

# The same under a free-threaded Python; a minute of threads, and whether more of them answer more.
free: build
	$(step) "a free-threaded Python" packaging/under.sh free

free-short: build
	$(step) "a free-threaded Python" packaging/under.sh free short

# The library's C there under the thread sanitizer.
free-tsan: build
	$(step) "the thread sanitizer" packaging/under.sh free tsan

# An image built and run as packaging/container/Containerfile says.
container: wheel-short
	$(step) "a container" packaging/container/test.sh

# What it made in fresh root file systems: Debian from 11 to the newest, musl, arm64 under qemu, a booted one with the RPM; the source, where
# nothing but Python is; and the refusal of a machine of 32 bits.
roots: deps dist
	packaging/roots.sh bullseye bookworm trixie sid musl rpm source arm64 i386

# All of it twice, in two folders, by two users: the same bytes.
same: dist
	packaging/same.sh dist $(MAKE) dist

# Where PyPI cannot be reached there is no zig, and this is left out.
wheel-short: deps
	@mkdir -p dist; rm -f dist/*.whl
	@if packaging/deps.sh wheel; then . packaging/step.sh; \
		step "wheels" $$(packaging/deps.sh tools)/bin/python packaging/wheel/backend.py dist manylinux-$$(uname -m) redis-$$(uname -m) && \
		step "what is installed from them" packaging/wheel/test.sh short; fi

clean:
	rm -rf bin dist
