#!/bin/sh
# Compiles gateway/push/write-many.c and common/malloc-trim.c for the Node.js that GoChat runs on. Without a C compiler, or
# without that Node's headers, GoChat does without them: a room then costs the gateway about a fifth more, and less of
# what a peak held goes back to the system.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
compiler=${CC:-cc}
headers=
# Node-API is the same in all of them, so any Node's headers do.
for node in "$(dirname -- "$(dirname -- "$("$root/scripts/node.sh")")")" "$root"/node_modules/node-*; do
  if [ -f "$node/include/node/node_api.h" ]; then
    headers=$node/include/node
    break
  fi
done

if ! command -v "$compiler" >/dev/null || [ -z "$headers" ]; then
  echo "gochat: no C compiler ($compiler) or no headers of Node.js: built without its parts in C" >&2
  exit 0
fi
case $(uname -s) in Darwin) undefined='-undefined dynamic_lookup' ;; *) undefined= ;; esac
for part in gateway/push/write-many common/malloc-trim; do
  out=$root/dist/$part.node
  mkdir -p "$(dirname -- "$out")"
  # shellcheck disable=SC2086
  "$compiler" -std=c11 -O2 -Wall -Wextra -fPIC -shared $undefined -I "$headers" -o "$out" "$root/$part.c" ||
    echo "gochat: $compiler could not compile $part.c: built without it" >&2
done
