#!/usr/bin/env bash
# Brings up etcd, Redis and PostgreSQL on loopback for GoChat: in Docker where an engine answers, else from local
# binaries. Safe to run again: what runs is left alone. See --help.
set -euo pipefail

ROOT=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
SCRIPTS=$ROOT/scripts/services
COMPOSE_FILE=$ROOT/deployments/compose.services.yaml
ALL_SERVICES="etcd redis postgres"

# shellcheck source=services/lib.sh
. "$SCRIPTS/lib.sh"
# shellcheck source=services/local.sh
. "$SCRIPTS/local.sh"
# shellcheck source=services/postgres.sh
. "$SCRIPTS/postgres.sh"
# shellcheck source=services/compose.sh
. "$SCRIPTS/compose.sh"
# shellcheck source=services/install.sh
. "$SCRIPTS/install.sh"

usage() {
  cat <<'USAGE'
Usage: scripts/start-services.sh [FLAGS]

Starts etcd, Redis and PostgreSQL on 127.0.0.1 and writes DIR/gochat.yaml, which the servers read by default.
Passwords are made on the first start and kept in DIR, readable by you alone.

  --dir DIR             where data, logs and passwords live (default: ./data/services of this repository)
  --only LIST           some of etcd,redis,postgres (default: all three)
  --engine NAME         auto, compose (Docker Compose) or local (binaries); auto takes Docker where it answers
  --etcd-port N         default 12379
  --etcd-peer-port N    default 12380 (local engine only)
  --redis-port N        default 16379
  --postgres-port N     default 15432
  --yes                 install missing Debian packages without asking (needs root); CI=true does the same
  --unsafe-fast         for throw-away tests: nothing is synced to disk
  --stop                end what this script started in DIR; data stay
  --status              say what runs; exit 3 if something does not
  --help                this text

A port once chosen is remembered in DIR. Exit: 0 done, 1 failed, 2 wrong usage, 3 not running (--status).
USAGE
}

usage_error() {
  printf 'start-services: %s\nSee scripts/start-services.sh --help\n' "$1" >&2
  exit 2
}

parse_port() { # FLAG VALUE
  case $2 in
    '' | *[!0-9]*) usage_error "$1 takes a port number, not '$2'" ;;
  esac
  [ "${#2}" -le 5 ] && [ "$2" -ge 1 ] && [ "$2" -le 65535 ] || usage_error "$1 takes a port from 1 to 65535, not '$2'"
  printf '%s' "$((10#$2))"
}

parse_only() { # LIST
  local name chosen=""
  for name in $(printf '%s' "$1" | tr ',' ' '); do
    case $name in
      etcd | redis | postgres) chosen="$chosen $name" ;;
      *) usage_error "--only knows etcd, redis and postgres, not '$name'" ;;
    esac
  done
  [ -n "$chosen" ] || usage_error "--only needs at least one of etcd, redis, postgres"
  printf '%s' "${chosen# }"
}

DIR=$ROOT/data/services
SERVICES=$ALL_SERVICES
ENGINE=auto
ACTION=start
YES=false
FAST=false
FLAG_etcd="" FLAG_etcd_peer="" FLAG_redis="" FLAG_postgres=""

while [ $# -gt 0 ]; do
  flag=$1
  case $flag in
    --yes=* | --unsafe-fast=* | --stop=* | --status=* | --help=*) usage_error "${flag%%=*} takes no value" ;;
    --*=*) value=${flag#*=} flag=${flag%%=*} taken=1 ;;
    --dir | --only | --engine | --etcd-port | --etcd-peer-port | --redis-port | --postgres-port)
      [ $# -ge 2 ] || usage_error "$flag needs a value"
      value=$2 taken=2
      ;;
    *) value="" taken=1 ;;
  esac
  case $flag in
    --dir)
      [ -n "$value" ] || usage_error "--dir needs a directory"
      DIR=$value
      ;;
    --only) SERVICES=$(parse_only "$value") ;;
    --engine)
      case $value in
        auto | compose | local) ENGINE=$value ;;
        *) usage_error "--engine is auto, compose or local, not '$value'" ;;
      esac
      ;;
    --etcd-port) FLAG_etcd=$(parse_port "$flag" "$value") ;;
    --etcd-peer-port) FLAG_etcd_peer=$(parse_port "$flag" "$value") ;;
    --redis-port) FLAG_redis=$(parse_port "$flag" "$value") ;;
    --postgres-port) FLAG_postgres=$(parse_port "$flag" "$value") ;;
    --yes) YES=true ;;
    --unsafe-fast) FAST=true ;;
    --stop) ACTION=stop ;;
    --status) ACTION=status ;;
    --help | -h)
      usage
      exit 0
      ;;
    *) usage_error "unknown flag '$1'" ;;
  esac
  shift "$taken"
done

choose_engine() {
  local before
  before=$(recall engine)
  if [ "$ENGINE" = auto ]; then
    if [ -n "$before" ]; then
      ENGINE=$before
    elif compose_answers; then
      ENGINE=compose
    else
      ENGINE=local
    fi
  elif [ -n "$before" ] && [ "$before" != "$ENGINE" ] && any_running "$before"; then
    die "$DIR already runs services with --engine $before: stop them first (--stop), or choose another --dir"
  fi
  [ "$ENGINE" = local ] || compose_answers || die "Docker does not answer ('docker info', 'docker compose version'): start it, or use --engine local"
}

any_running() { # ENGINE
  local name
  for name in $ALL_SERVICES; do
    if "$1_running" "$name"; then return 0; fi
  done
  return 1
}

# Sets PORT_etcd and so on: the flag, else what was used before, else the default.
choose_ports() {
  PORT_etcd=${FLAG_etcd:-$(recall port_etcd)}
  PORT_etcd_peer=${FLAG_etcd_peer:-$(recall port_etcd_peer)}
  PORT_redis=${FLAG_redis:-$(recall port_redis)}
  PORT_postgres=${FLAG_postgres:-$(recall port_postgres)}
  PORT_etcd=${PORT_etcd:-12379} PORT_etcd_peer=${PORT_etcd_peer:-12380}
  PORT_redis=${PORT_redis:-16379} PORT_postgres=${PORT_postgres:-15432}
}

start() {
  local name missing=""
  mkdir -p "$DIR" || die "cannot make $DIR: choose another directory with --dir"
  DIR=$(CDPATH='' cd -- "$DIR" && pwd)
  [ -w "$DIR" ] || die "cannot write to $DIR: choose another directory with --dir"
  take_lock
  choose_ports
  choose_engine
  for name in $SERVICES; do
    if "${ENGINE}_running" "$name"; then
      check_same_port "$name"
    else
      missing="$missing $name"
      if [ "$ENGINE" = local ]; then wait_ended "$name"; fi
      check_port_free "$name" "$(port_of "$name")" "--$name-port"
      if [ "$name" = etcd ] && [ "$ENGINE" = local ]; then
        check_port_free "etcd (peer)" "$PORT_etcd_peer" --etcd-peer-port
      fi
    fi
  done
  missing=${missing# }
  if [ -n "$missing" ]; then
    if [ "$ENGINE" = local ]; then ensure_installed "$missing"; fi
    for name in $missing; do make_secrets "$name"; done
    remember engine "$ENGINE"
    for name in $missing; do remember "port_$name" "$(port_of "$name")"; done
    remember port_etcd_peer "$PORT_etcd_peer"
    "${ENGINE}_start" "$missing"
  fi
  for name in $SERVICES; do
    case " $missing " in
      *" $name "*) say "$name answers on 127.0.0.1:$(port_of "$name")" ;;
      *) say "$name runs already on 127.0.0.1:$(port_of "$name"), left alone" ;;
    esac
  done
  write_config
}

stop() {
  if [ ! -d "$DIR" ]; then
    say "nothing was started in $DIR"
    return
  fi
  DIR=$(CDPATH='' cd -- "$DIR" && pwd)
  take_lock
  ENGINE=$(recall engine)
  if [ -z "$ENGINE" ]; then
    say "nothing was started in $DIR"
    return
  fi
  choose_ports
  "${ENGINE}_stop" "$SERVICES"
}

status() {
  local name code=0
  if [ -d "$DIR" ]; then DIR=$(CDPATH='' cd -- "$DIR" && pwd); fi
  ENGINE=$(recall engine)
  choose_ports
  for name in $SERVICES; do
    if [ -z "$ENGINE" ] || ! "${ENGINE}_running" "$name"; then
      say "$name: not running"
      code=3
    elif "${ENGINE}_ready" "$name"; then
      say "$name: running on 127.0.0.1:$(port_of "$name") ($ENGINE)"
    else
      say "$name: running ($ENGINE), does not answer on 127.0.0.1:$(port_of "$name")"
      code=3
    fi
  done
  return "$code"
}

"$ACTION"
