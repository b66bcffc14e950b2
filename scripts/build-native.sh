#!/bin/sh
# Builds what common/internals holds besides TypeScript: its parts in C, for the Node.js that GoChat runs on, and the
# settings of V8 that this Node.js takes. Without a C compiler, or without that Node's headers, GoChat does without the
# parts in C: a room then costs the gateway about a fifth more, and less of what a peak held goes back to the system.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
node=$("$root/scripts/node.sh")
out=$root/dist/common/internals
mkdir -p "$out"

"$root/common/internals/v8-flags.sh" "$node" \
  --expose-gc --max-semi-space-size=8 --no-allocation-site-pretenuring >"$out/v8-flags"
"$root/common/internals/v8-flags.sh" "$node" --min-semi-space-size=8 >"$out/v8-flags-state"

compiler=${CC:-cc}
headers=
# Node-API is the same in all of them, so any Node's headers do.
for folder in "$(dirname -- "$(dirname -- "$node")")" "$root"/node_modules/node-*; do
  if [ -f "$folder/include/node/node_api.h" ]; then
    headers=$folder/include/node
    break
  fi
done
if ! command -v "$compiler" >/dev/null || [ -z "$headers" ]; then
  echo "gochat: no C compiler ($compiler) or no headers of Node.js: built without its parts in C" >&2
  exit 0
fi
case $(uname -s) in Darwin) undefined='-undefined dynamic_lookup' ;; *) undefined= ;; esac
for part in write-many malloc-trim; do
  # shellcheck disable=SC2086
  "$compiler" -std=c11 -O2 -Wall -Wextra -fPIC -shared $undefined -I "$headers" \
    -o "$out/$part.node" "$root/common/internals/$part.c" ||
    echo "gochat: $compiler could not compile $part.c: built without it" >&2
done
