#!/usr/bin/env bash
# Installs a Debian package as root, for tests that need more than the engines: scripts/install-for-tests.sh haproxy
set -euo pipefail
SCRIPTS=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)/services
# shellcheck source=services/lib.sh
. "$SCRIPTS/lib.sh"
# shellcheck source=services/install.sh
. "$SCRIPTS/install.sh"

package=$1
command -v apt-get >/dev/null 2>&1 || die "$package is not installed: install it with your package manager"
[ "$(id -u)" = 0 ] || die "$package is not installed. As root run: apt-get install -y $package"
(install_packages "$package")
