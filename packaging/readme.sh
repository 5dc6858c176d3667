#!/bin/sh
# What README.md tells people to type for an installation: the tests of what is installed type it. usage: readme.sh pip|source|apt
set -eu
cd "$(dirname "$0")/.."
case $1 in
pip) said=$(sed -n 's/^\(pip install [^#]*[^ #]\) *\(#.*\)\{0,1\}$/\1/p' README.md) ;;
source) said=$(grep -o '`pip install \./[^`]*`' README.md | tr -d '`') ;;
apt) said=$(sed -n 's/^\(apt install .*\)$/\1/p' README.md) ;;
*) echo "readme.sh: $1: there are pip, source and apt" >&2; exit 2 ;;
esac
[ "$(echo "$said" | grep -c .)" = 1 ] || { echo "readme.sh: README.md has not one command for $1: $said" >&2; exit 1; }
echo "$said"
