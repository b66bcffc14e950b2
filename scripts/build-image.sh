#!/bin/sh
# Builds the image: scripts/build-image.sh NAME:TAG. By docker where its daemon answers, else by buildah.
set -eu
cd "$(dirname -- "$0")/.."
if docker info >/dev/null 2>&1; then
  exec docker build --tag "$1" .
fi
if command -v buildah >/dev/null 2>&1; then
  # Health checks are a thing of Docker's format.
  exec buildah build --format docker --layers --tag "$1" .
fi
echo "build-image: neither a Docker daemon nor buildah answers: start Docker, or install buildah" >&2
exit 1
