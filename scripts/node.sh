#!/bin/sh
# Prints the path of the Node.js that GoChat runs on: the one in this folder (scripts/build-binary.sh), else the system's
# where it is 24.12 or newer, else the one that npm installed beside the project (node_modules/node-linux-*).
set -eu
case $0 in */*) self=$0 ;; *) self=./$0 ;; esac
root=$(CDPATH= cd -- "${self%/*}/.." && pwd)

if [ -x "$root/bin/node" ]; then
  echo "$root/bin/node"
  exit 0
fi

new_enough() {
  version=$("$1" --version 2>/dev/null) || return 1
  version=${version#v}
  major=${version%%.*}
  minor=${version#*.}
  minor=${minor%%.*}
  [ "$major" -gt 24 ] || { [ "$major" -eq 24 ] && [ "$minor" -ge 12 ]; }
}

system=$(command -v node || true)
if [ -n "$system" ] && new_enough "$system"; then
  echo "$system"
  exit 0
fi
for node in "$root"/node_modules/node-*/bin/node; do
  if [ -x "$node" ] && new_enough "$node"; then
    echo "$node"
    exit 0
  fi
done
echo "gochat: needs Node.js 24.12 or newer: run 'make install' (it brings one for Linux), or install Node.js 24" >&2
exit 1
