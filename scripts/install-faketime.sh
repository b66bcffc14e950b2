#!/usr/bin/env bash
# Installs libfaketime on Debian as root, for the tests that make one process's clock jump.
set -euo pipefail
SCRIPTS=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)/services
# shellcheck source=services/lib.sh
. "$SCRIPTS/lib.sh"
# shellcheck source=services/install.sh
. "$SCRIPTS/install.sh"

command -v apt-get >/dev/null 2>&1 || die "libfaketime is not installed: install it with your package manager"
[ "$(id -u)" = 0 ] || die "libfaketime is not installed. As root run: apt-get install -y libfaketime"
(install_packages libfaketime)
