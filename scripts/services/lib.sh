# shellcheck shell=bash
# What both engines share: messages, the memory of DIR, ports, passwords, probes and the servers' configuration.
# Sourced by start-services.sh, which sets DIR, SERVICES, ENGINE and PORT_*.
# shellcheck disable=SC2034,SC2154

WAIT_S=60

say() { printf '%s\n' "$*"; }

die() {
  printf 'start-services: %s\n' "$*" >&2
  exit 1
}

# Two runs at once on the same DIR go one after the other.
take_lock() {
  command -v flock >/dev/null 2>&1 || return 0
  exec 9>"$DIR/.lock"
  flock -w 120 9 || die "another start-services.sh works on $DIR"
}

remember() { # KEY VALUE
  mkdir -p "$DIR/.state"
  printf '%s\n' "$2" >"$DIR/.state/$1"
}

recall() { # KEY
  if [ -f "$DIR/.state/$1" ]; then cat "$DIR/.state/$1"; fi
}

port_of() { # NAME
  case $1 in
    etcd) printf '%s' "$PORT_etcd" ;;
    redis) printf '%s' "$PORT_redis" ;;
    postgres) printf '%s' "$PORT_postgres" ;;
  esac
}

port_open() { # PORT
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

check_port_free() { # NAME PORT FLAG
  local owner=""
  port_open "$2" || return 0
  if command -v ss >/dev/null 2>&1; then
    owner=$(ss -ltnpH "sport = :$2" 2>/dev/null | sed -n 's/.*users:((\("[^"]*"\),pid=\([0-9]*\).*/ (\1, pid \2)/p' | head -n 1)
  fi
  die "port $2, wanted for $1, is used by another program$owner: stop that, or choose another port with $3 N"
}

check_same_port() { # NAME
  local before
  before=$(recall "port_$1")
  [ -z "$before" ] || [ "$before" = "$(port_of "$1")" ] ||
    die "$1 runs already on port $before: stop it first (--stop --only $1) to move it to $(port_of "$1")"
}

# Writes 32 random hex digits once; nobody else can read them.
make_secret() { # FILE
  if [ -s "$DIR/$1" ]; then return; fi
  (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$DIR/$1")
}

secret() { cat "$DIR/$1"; }

make_secrets() { # NAME
  case $1 in
    redis) make_secret redis.password ;;
    postgres)
      make_secret postgres.password
      make_secret postgres.superuser.password
      ;;
  esac
}

etcd_answers() { # PORT
  (
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
    printf 'GET /health HTTP/1.0\r\n\r\n' >&3
    while IFS= read -r -t 2 line <&3 || [ -n "$line" ]; do
      case $line in
        *'"health":"true"'*) exit 0 ;;
      esac
      line=""
    done
    exit 1
  ) 2>/dev/null
}

redis_answers() { # PORT
  (
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
    printf 'AUTH %s\r\nPING\r\n' "$(secret redis.password)" >&3
    IFS= read -r -t 2 line <&3
    case $line in
      +OK*) ;;
      *) exit 1 ;;
    esac
    IFS= read -r -t 2 line <&3
    case $line in
      +PONG*) exit 0 ;;
    esac
    exit 1
  ) 2>/dev/null
}

# The role and the database of GoChat, for a superuser's psql; harmless when they are there.
postgres_setup_sql() {
  cat <<SQL
SET client_min_messages = warning;
SET password_encryption = 'scram-sha-256';
SELECT 'CREATE ROLE gochat' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gochat') \gexec
ALTER ROLE gochat LOGIN CREATEDB PASSWORD '$(secret postgres.password)';
SELECT 'CREATE DATABASE gochat OWNER gochat' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'gochat') \gexec
SQL
}

# Writes what the servers need to reach each service that this directory has.
write_config() {
  local file=$DIR/gochat.yaml
  (
    umask 077
    {
      say "# Written by scripts/start-services.sh. The servers read it when no --config is given."
      if [ -n "$(recall port_etcd)" ]; then say "registry: etcd://127.0.0.1:$(recall port_etcd)"; fi
      if [ -n "$(recall port_redis)" ]; then say "hot: redis://:$(secret redis.password)@127.0.0.1:$(recall port_redis)"; fi
      if [ -n "$(recall port_postgres)" ]; then
        say "store: postgres://gochat:$(secret postgres.password)@127.0.0.1:$(recall port_postgres)/gochat"
      fi
    } >"$file.new"
  )
  mv -f "$file.new" "$file"
  say "configuration: $file"
}
