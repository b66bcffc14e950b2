#!/bin/sh
# Prints which of the settings of V8 that GoChat runs with a Node.js takes: v8-flags.sh NODE FLAG... The build asks it, and
# bin/gochat takes what it has written.
#
# Reaches into: flags of V8, which no Node.js promises (checked with 24.21).
# Why: docs/lab/delivery.md. The servers return memory when they are idle (memory.ts): --expose-gc. A
# small young generation: --max-semi-space-size=8; that of state has one size, or it collects its whole heap while that
# grows: --min-semi-space-size=8. No objects that are old from their birth because a stall once made their like old:
# --no-allocation-site-pretenuring. Flags and not limits of worker threads: a thread that ran out of those would take the
# process along.
# Upstream: https://github.com/nodejs/node/issues/42511 (the young generation's size); none found for the others.
# Without them: V8's own sizes; more memory, which is not given back.
set -eu
node=$1
shift
for flag in "$@"; do
  if "$node" "$flag" -e 0 >/dev/null 2>&1; then
    printf '%s ' "$flag"
  else
    echo "gochat: $node does not know $flag: built without it" >&2
  fi
done
