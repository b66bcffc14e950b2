#!/bin/sh
# Makes a folder that runs GoChat by itself: scripts/build-binary.sh FOLDER. It holds Node.js, the compiled code with its
# parts in C, and the dependencies of production as the lock file names them. It needs Linux with the C and C++ libraries
# of Debian 12 or newer, and /bin/sh. The project must be built (make build).
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
out=$1
rm -rf "$out"
mkdir -p "$out/bin" "$out/scripts"
out=$(CDPATH= cd -- "$out" && pwd)

cp "$root/package.json" "$root/package-lock.json" "$root/.npmrc" "$out/"
(cd "$out" && npm ci --omit=dev --prefer-offline --loglevel=error)
# Without the packages of development, which are not here: npm sbom would miss them.
(cd "$out" && npm pkg delete devDependencies scripts && npm sbom --sbom-format=cyclonedx >sbom.json)
rm "$out/.npmrc" "$out/package-lock.json"

for node in "$out"/node_modules/node-linux-*; do
  cp "$node/bin/node" "$out/bin/node"
  cp "$node/LICENSE" "$out/LICENSE.node"
  rm -r "$node"
done
# What compilers and debuggers of the dependencies need.
find "$out/node_modules" \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -delete

cp -R "$root/dist" "$out/dist"
rm -rf "$out/dist/.compile-cache" "$out/dist/node-path"
cp "$root/bin/gochat" "$out/bin/gochat"
cp "$root/scripts/node.sh" "$out/scripts/node.sh"
cp "$root/LICENSE" "$out/LICENSE"
echo "$out"
