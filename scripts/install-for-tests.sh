#!/usr/bin/env bash
# Installs what tests need besides the engines: a Debian package as root (scripts/install-for-tests.sh haproxy), or with
# --pip a Python program in a folder of its own, whose path it prints (scripts/install-for-tests.sh --pip NAME VERSION).
set -euo pipefail
SCRIPTS=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)/services
# shellcheck source=services/lib.sh
. "$SCRIPTS/lib.sh"
# shellcheck source=services/install.sh
. "$SCRIPTS/install.sh"

if [ "$1" = --pip ]; then
  folder=$(CDPATH='' cd -- "$SCRIPTS/../.." && pwd)/node_modules/.cache/pip/$2-$3
  if [ ! -x "$folder/bin/$2" ]; then
    python3 -c 'import ensurepip' 2>/dev/null || (install_packages python3-venv)
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check "$2==$3" >&2
  fi
  echo "$folder/bin/$2"
  exit
fi

package=$1
command -v apt-get >/dev/null 2>&1 || die "$package is not installed: install it with your package manager"
[ "$(id -u)" = 0 ] || die "$package is not installed. As root run: apt-get install -y $package"
(install_packages "$package")
