#!/bin/bash
# Provides the images that the Dockerfile starts from. Where no registry answers, they are made of Debian's packages, and
# of this machine's npm and certificates.
set -euo pipefail
cd "$(dirname -- "$0")/../.."
debian=docker.io/library/debian:bookworm-slim
node=docker.io/library/node:24-bookworm-slim

present() { buildah inspect --type image "$1" >/dev/null 2>&1; }

if present $debian && present $node; then exit; fi
if buildah pull --quiet $debian && buildah pull --quiet $node; then exit; fi

scripts/install-for-tests.sh mmdebstrap
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mmdebstrap --variant=minbase --quiet bookworm "$folder/base.tar"
base=$(buildah from scratch)
buildah add --quiet "$base" "$folder/base.tar" /
buildah config --cmd bash --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$base"
buildah commit --quiet --rm "$base" $debian

npm=$(readlink -f "$(command -v npm)")
cp -rL "${npm%/bin/*}" "$folder/npm"
build=$(buildah from $debian)
buildah copy --quiet "$build" node_modules/node-linux-*/bin/node /usr/local/bin/node
buildah copy --quiet "$build" "$folder/npm" /usr/local/lib/node_modules/npm
buildah copy --quiet "$build" /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
buildah run "$build" ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
buildah config --env NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt "$build"
buildah commit --quiet --rm "$build" $node
