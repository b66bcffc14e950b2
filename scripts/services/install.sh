# shellcheck shell=bash
# Finds the local engine's programs and, on Debian as root, installs those that are missing.
# shellcheck disable=SC2154

installed() { # NAME
  case $1 in
    etcd) command -v etcd >/dev/null 2>&1 ;;
    redis) command -v redis-server >/dev/null 2>&1 ;;
    postgres) postgres_bin >/dev/null ;;
  esac
}

package_of() { # NAME
  case $1 in
    etcd) printf 'etcd-server' ;;
    redis) printf 'redis-server' ;;
    postgres) printf 'postgresql' ;;
  esac
}

ensure_installed() { # NAMES
  local name packages="" answer command
  [ -d /proc/self ] || die "local services need Linux (/proc): start Docker and use --engine compose"
  for name in $1; do
    if ! installed "$name"; then packages="$packages $(package_of "$name")"; fi
  done
  packages=${packages# }
  if [ -z "$packages" ]; then return; fi
  if ! command -v apt-get >/dev/null 2>&1; then
    die "not installed: what Debian calls $packages. Install them with your package manager, or start Docker and run this again"
  fi
  command="apt-get update && apt-get install -y --no-install-recommends $packages"
  is_root || die "not installed: $packages. As root run: $command   (or start Docker, and run this again)"
  if [ "$YES" != true ] && [ "${CI:-}" != true ]; then
    [ -t 0 ] || die "not installed: $packages. Run this again with --yes, or run: $command"
    printf 'Not installed: %s. Install now with apt-get? [y/N] ' "$packages"
    read -r answer || answer=""
    case $answer in
      y | Y | yes) ;;
      *) die "not installed: $packages. Run: $command" ;;
    esac
  fi
  # shellcheck disable=SC2086
  (install_packages $packages)
  hash -r
  for name in $1; do
    installed "$name" || die "$(package_of "$name") was installed, but its programs were not found"
  done
}

# Debian starts a service when it installs it, on its usual port; here only the programs are wanted.
install_packages() { # PACKAGES...
  local policy=/usr/sbin/policy-rc.d cluster=/etc/postgresql-common/createcluster.conf
  say "installing $*"
  # One after the other: apt-get does not wait for another one.
  if command -v flock >/dev/null 2>&1; then
    exec 8>"${TMPDIR:-/tmp}/gochat-install.lock"
    flock 8
  fi
  if [ ! -e "$policy" ]; then
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  case " $* " in
    *" postgresql "*)
      if [ ! -e "$cluster" ]; then
        mkdir -p "$(dirname "$cluster")"
        printf '# Written by scripts/start-services.sh of GoChat: no server of the system was asked for.\ncreate_main_cluster = false\n' >"$cluster"
      fi
      ;;
  esac
  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
  apt-get update -qq >&2 8>&- || die "apt-get update failed (above): check the network and /etc/apt/sources.list"
  apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 "$@" >&2 8>&- 9>&- ||
    die "apt-get install failed (above)"
  if command -v systemctl >/dev/null 2>&1; then
    case " $* " in *" etcd-server "*) systemctl disable --quiet etcd.service 2>/dev/null || true ;; esac
    case " $* " in *" redis-server "*) systemctl disable --quiet redis-server.service 2>/dev/null || true ;; esac
  fi
}
