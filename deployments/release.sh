# shellcheck shell=bash
# Runs on a server, sent by scripts/deploy.sh. Releases are folders in ~/gochat/releases with the compose files and a
# file .env, which names the image by its digest: a tag may move. ~/gochat/current and ~/gochat/previous are links.
# ~/gochat/server.env, if it is there, holds variables of this server for the compose files.
#
#   deploy   DRY_RUN RELEASE IMAGE HOST
#   rollback DRY_RUN
set -euo pipefail
ACTION=$1 DRY_RUN=$2
ROOT=$HOME/gochat
WAIT_S=180
KEPT=5

say() { printf 'deploy: on the server: %s\n' "$*"; }
die() {
  say "$*" >&2
  exit 1
}
run() {
  if [ -n "$DRY_RUN" ]; then say "would run: $*"; else "$@"; fi
}

docker compose version >/dev/null || die 'there is no docker compose'
if [ -z "$DRY_RUN" ]; then
  mkdir -p "$ROOT"
  exec 9>"$ROOT/.lock"
  flock --nonblock 9 || die 'another deployment is under way'
fi

target_of() { # LINK
  if [ -L "$ROOT/$1" ]; then readlink "$ROOT/$1"; fi
}

# Starts a release, and waits until every service is healthy. The image of the site is made here, of the release's files.
start() { # RELEASE
  run docker compose --project-directory "$ROOT/$1" build --quiet site
  run docker compose --project-directory "$ROOT/$1" up --detach --remove-orphans --wait --wait-timeout "$WAIT_S"
}

# Starts an earlier release. Its image may have been removed since.
restart() { # RELEASE
  run docker pull --quiet "$(sed -n 's/^GOCHAT_IMAGE=//p' "$ROOT/$1/.env")" || say "the image of $1 cannot be pulled" >&2
  start "$1"
}

point() { # LINK RELEASE
  run ln -sfn "$2" "$ROOT/$1"
}

current=$(target_of current)
previous=$(target_of previous)

if [ "$ACTION" = rollback ]; then
  [ -n "$previous" ] || die 'there is no release before the current one'
  restart "$previous" || die "$previous is not healthy, too; $current stays the current release"
  point previous "$current"
  point current "$previous"
  say "rolled back to $previous"
  exit
fi

release=releases/$3 image=$4 host=$5
run docker pull --quiet "$image"
if [ -n "$DRY_RUN" ]; then
  say "would write $ROOT/$release/.env: the image by its digest, HOST_IP=$host, BIND_IP=0.0.0.0"
else
  umask 077
  {
    printf 'GOCHAT_IMAGE=%s\n' "$(docker image inspect --format '{{index .RepoDigests 0}}' "$image")"
    printf 'HOST_IP=%s\nBIND_IP=0.0.0.0\n' "$host"
    if [ -f "$ROOT/server.env" ]; then cat "$ROOT/server.env"; fi
  } >"$ROOT/$release/.env"
fi
if ! start "$release"; then
  [ -n "$current" ] || die "$release is not healthy, and there is no release to roll back to"
  say "$release is not healthy: rolling back to $current" >&2
  restart "$current" || die "$current is not healthy, too"
  die "rolled back to $current"
fi
if [ -n "$current" ]; then point previous "$current"; fi
point current "$release"
say "deployed $release"

# The oldest releases beyond those kept; never one that a link names.
cd "$ROOT/releases" 2>/dev/null || exit 0
for old in $(find . -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort -r | tail -n +$((KEPT + 1))); do
  case releases/$old in "$(target_of current)" | "$(target_of previous)") ;; *) run rm -rf "$ROOT/releases/$old" ;; esac
done
