#!/usr/bin/env bash
# Deploys an image to a server over SSH, as the workflow "deploy" does. The server needs Docker with compose.
#
#   scripts/deploy.sh dev|staging|prod TAG [--dry-run]
#   scripts/deploy.sh dev|staging|prod --rollback [--dry-run]
#
# --rollback returns to the release before the current one. --dry-run checks the connection and prints what would be
# done. A release that is not healthy in time is rolled back by itself, and the exit code is 1.
#
# Environment, for dev (for the others STAGING_SERVER_… and PROD_SERVER_…):
#   DEV_SERVER_HOST         address of the server; clients are told it
#   DEV_SERVER_USER         user who may run docker
#   DEV_SERVER_KEY          text of the private key; default: the keys of this user
#   DEV_SERVER_PORT         default: 22
#   DEV_SERVER_KNOWN_HOSTS  the server's lines of known_hosts; without them its key is trusted on first use
#   GOCHAT_REPOSITORY       where the image is; default: $DOCKERHUB_USERNAME/gochat
set -euo pipefail
cd "$(dirname -- "${BASH_SOURCE[0]}")/.."

say() { printf 'deploy: %s\n' "$*"; }
die() {
  printf 'deploy: %s\n' "$*" >&2
  exit 2
}

ENVIRONMENT=${1:-} TAG='' DRY_RUN='' ROLLBACK=''
case $ENVIRONMENT in
  dev | staging | prod) shift ;;
  *) die "usage: scripts/deploy.sh dev|staging|prod TAG|--rollback [--dry-run]" ;;
esac
for argument in "$@"; do
  case $argument in
    --dry-run) DRY_RUN=--dry-run ;;
    --rollback) ROLLBACK=--rollback ;;
    *)
      [ -z "$TAG" ] || die "one tag, not $TAG and $argument"
      [[ $argument =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] || die "$argument is not a tag of an image"
      TAG=$argument
      ;;
  esac
done
case $TAG,$ROLLBACK in
  , | ?*,?*) die "give a tag or --rollback" ;;
esac

setting() { # NAME [DEFAULT]
  local variable=${ENVIRONMENT^^}_SERVER_$1
  if [ -n "${!variable:-}" ]; then printf '%s' "${!variable}"; else
    [ $# = 2 ] || die "$variable is not set"
    printf '%s' "$2"
  fi
}
HOST=$(setting HOST)
REMOTE_USER=$(setting USER)
PORT=$(setting PORT 22)
KEY=$(setting KEY '')
KNOWN_HOSTS=$(setting KNOWN_HOSTS '')
[[ $HOST =~ ^[A-Za-z0-9:._-]+$ && $HOST != -* ]] || die "${ENVIRONMENT^^}_SERVER_HOST is not a host"
[[ $REMOTE_USER =~ ^[a-z_][A-Za-z0-9._-]*$ ]] || die "${ENVIRONMENT^^}_SERVER_USER is not a user name"

SECRETS=$(mktemp -d)
trap 'rm -rf "$SECRETS"' EXIT
SSH=(ssh -T -p "$PORT" -l "$REMOTE_USER" -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=15)
if [ -n "$KEY" ]; then
  (umask 077 && printf '%s\n' "$KEY" >"$SECRETS/key")
  SSH+=(-i "$SECRETS/key" -o IdentitiesOnly=yes)
fi
if [ -n "$KNOWN_HOSTS" ]; then
  printf '%s\n' "$KNOWN_HOSTS" >"$SECRETS/known_hosts"
  SSH+=(-o StrictHostKeyChecking=yes -o "UserKnownHostsFile=$SECRETS/known_hosts" -o GlobalKnownHostsFile=/dev/null)
else
  say "${ENVIRONMENT^^}_SERVER_KNOWN_HOSTS is not set: the server's key is trusted on first use" >&2
  SSH+=(-o StrictHostKeyChecking=accept-new)
fi

# What runs there; its words are quoted for the shell there.
there() { "${SSH[@]}" "$HOST" "$(printf '%q ' "$@")"; }

# The script that acts comes with each call, so that it fits this version.
if [ -n "$ROLLBACK" ]; then
  there bash -s -- rollback "$DRY_RUN" <deployments/release.sh
  exit
fi

IMAGE=${GOCHAT_REPOSITORY:-${DOCKERHUB_USERNAME:?is not set, nor is GOCHAT_REPOSITORY}/gochat}:$TAG
FILES=(docker-compose.yml deployments)
for file in "${FILES[@]}"; do [ -e "$file" ] || die "$file is missing"; done
RELEASE=$(date -u +%Y%m%dT%H%M%SZ)-$TAG
say "$IMAGE to $REMOTE_USER@$HOST as release $RELEASE"
if [ -z "$DRY_RUN" ]; then
  # shellcheck disable=SC2016
  tar -cz "${FILES[@]}" |
    there bash -c 'mkdir -p "$HOME/gochat/releases/$0" && tar -xz -C "$HOME/gochat/releases/$0"' "$RELEASE"
fi
there bash -s -- deploy "$DRY_RUN" "$RELEASE" "$IMAGE" "$HOST" <deployments/release.sh
