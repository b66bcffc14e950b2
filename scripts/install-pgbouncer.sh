#!/usr/bin/env bash
# Installs PgBouncer on Debian as root, for the tests that put it in front of PostgreSQL.
set -euo pipefail
SCRIPTS=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)/services
# shellcheck source=services/lib.sh
. "$SCRIPTS/lib.sh"
# shellcheck source=services/install.sh
. "$SCRIPTS/install.sh"

command -v apt-get >/dev/null 2>&1 || die "PgBouncer is not installed: install it with your package manager"
[ "$(id -u)" = 0 ] || die "PgBouncer is not installed. As root run: apt-get install -y pgbouncer"
(install_packages pgbouncer)
