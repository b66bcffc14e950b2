# shellcheck shell=bash
# The Docker engine: the three services as deployments/compose.services.yaml describes them; data in Docker volumes.
# shellcheck disable=SC2154

compose_answers() {
  command -v docker >/dev/null 2>&1 || return 1
  # The client alone exits 0 when there is no engine in some versions, so ask for the engine's own version.
  [ -n "$(docker info --format '{{.ServerVersion}}' 2>/dev/null)" ] && docker compose version >/dev/null 2>&1
}

# One project for each directory, so that two checkouts do not share containers.
compose() {
  local project
  project=gochat-services-$(printf '%s' "$DIR" | cksum | cut -d ' ' -f 1)
  SERVICES_ETCD_PORT=$PORT_etcd SERVICES_REDIS_PORT=$PORT_redis SERVICES_POSTGRES_PORT=$PORT_postgres \
    SERVICES_REDIS_PASSWORD=$(compose_secret redis.password) \
    SERVICES_POSTGRES_SUPERUSER_PASSWORD=$(compose_secret postgres.superuser.password) \
    docker compose --project-name "$project" --file "$COMPOSE_FILE" "$@"
}

# Compose wants every variable of the file, also those of a service that is not asked for.
compose_secret() { # FILE
  if [ -s "$DIR/$1" ]; then secret "$1"; else printf 'unused'; fi
}

compose_running() { # NAME
  [ -n "$(compose ps --quiet --status running "$1" 2>/dev/null)" ]
}

compose_ready() { # NAME
  case $1 in
    postgres) compose exec -T postgres psql -X -q -U postgres -d gochat -c 'select 1' >/dev/null 2>&1 ;;
    *) "${1}_answers" "$(port_of "$1")" ;;
  esac
}

compose_start() { # NAMES
  local name until=$((SECONDS + WAIT_S))
  if [ "$FAST" = true ]; then say "--unsafe-fast has no effect with Docker"; fi
  # shellcheck disable=SC2086
  compose up --detach --wait --wait-timeout "$WAIT_S" $1 || compose_failed "$1"
  for name in $1; do
    if [ "$name" = postgres ]; then
      postgres_setup_sql | compose exec -T postgres psql -X -q -U postgres -v ON_ERROR_STOP=1 || compose_failed postgres
    fi
    until compose_ready "$name"; do
      [ "$SECONDS" -lt "$until" ] || compose_failed "$name"
      sleep 0.2
    done
  done
}

compose_failed() { # NAMES
  # shellcheck disable=SC2086
  compose logs --tail 20 $1 >&2 || true
  die "Docker did not bring up: $1 (the end of the logs is above)"
}

compose_stop() { # NAMES
  local name
  for name in $1; do
    if compose_running "$name"; then
      compose stop "$name" || die "Docker did not stop $name"
      say "$name: stopped"
    else
      say "$name: not running"
    fi
  done
}
