#!/bin/sh
# Prints which of the settings of V8 that GoChat runs with a Node.js takes: v8-flags.sh NODE FLAG... The build asks it, and
# bin/gochat takes what it has written.
#
# Reaches into: flags of V8, which no Node.js promises (checked with 24.21).
# Why: docs/lab/delivery.md.
# --expose-gc: the servers return memory when they are idle (memory.ts).
# --max-semi-space-size=8: keeps the young generation small.
# --min-semi-space-size=8 (state only): keeps it at one size, because V8 collects the whole heap while it grows.
# --no-allocation-site-pretenuring: otherwise one stall makes V8 allocate later objects of the same kind as old ones.
# These are flags of the process, not resourceLimits of worker threads: a worker beyond such a limit ends the process.
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
