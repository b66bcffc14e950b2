#!/bin/sh
# Compiles gateway/write-many.c for the Node.js that GoChat runs on. Without a C compiler, or without that Node's headers,
# the gateway does without it: a room then costs it about a fifth more.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
out=$root/dist/gateway/write-many.node
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
  echo "gochat: no C compiler ($compiler) or no headers of Node.js: built without gateway/write-many.c" >&2
  exit 0
fi
case $(uname -s) in Darwin) undefined='-undefined dynamic_lookup' ;; *) undefined= ;; esac
mkdir -p "$(dirname -- "$out")"
# shellcheck disable=SC2086
"$compiler" -std=c11 -O2 -Wall -Wextra -fPIC -shared $undefined -I "$headers" -o "$out" "$root/gateway/write-many.c" ||
  echo "gochat: $compiler could not compile gateway/write-many.c: built without it" >&2
