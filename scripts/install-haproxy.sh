#!/usr/bin/env bash
# Installs HAProxy on Debian as root, for the tests that put a balancer in front of a gateway.
set -euo pipefail
SCRIPTS=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)/services
# shellcheck source=services/lib.sh
. "$SCRIPTS/lib.sh"
# shellcheck source=services/install.sh
. "$SCRIPTS/install.sh"

command -v apt-get >/dev/null 2>&1 || die "HAProxy is not installed: install it with your package manager"
[ "$(id -u)" = 0 ] || die "HAProxy is not installed. As root run: apt-get install -y haproxy"
(install_packages haproxy)
