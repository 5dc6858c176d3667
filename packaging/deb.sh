#!/bin/bash
# Builds the Debian package into dist/ and runs lintian over it. The build happens in a copy of the tree, so that nothing is left in it.
# usage: deb.sh [ARCH]     (make deb, make deb ARCH=arm64)
set -eu
arch=${1:-$(dpkg --print-architecture)}
cd "$(dirname "$0")/.."
root=$PWD
version=$(dpkg-parsechangelog -S Version)
# A folder of its own, and the result moved into place at the end: two builds do not meet.
mkdir -p dist
build=$(mktemp -d dist/build.XXXXXX)
build=$root/$build
trap 'rm -rf "$build"' EXIT
mkdir "$build/uwsgi-$version"
# dpkg sets back what is newer than the changelog; what is older has its time, too.
tar -c --mtime="@$(dpkg-parsechangelog -S Timestamp)" --exclude=./.git --exclude=./dist --exclude=./bin --exclude=./.home . | tar -x -C "$build/uwsgi-$version"
cd "$build/uwsgi-$version"
dpkg-buildpackage -b -us -uc -tc -a "$arch" >"$build/log" 2>&1 || { tail -n 60 "$build/log" >&2; exit 1; }
cd "$root"
# Every tag that lintian calls an error or a warning fails the build.
lintian --fail-on error,warning "$build"/*.deb
rm -f dist/*_"$arch".deb
mv "$build"/*.deb dist/
ls -1 dist/*_"$arch".deb
