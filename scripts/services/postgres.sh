# shellcheck shell=bash
# PostgreSQL of the local engine. It refuses to run as root, so for root it runs as the system user "postgres".
# shellcheck disable=SC2154

is_root() { [ "$(id -u)" = 0 ]; }

as_postgres() {
  if is_root; then
    setpriv --reuid=postgres --regid=postgres --init-groups env HOME=/ "$@"
  else
    "$@"
  fi
}

# Prints the directory of the newest server programs, or of the version that made the data.
postgres_bin() {
  local want="" dir found=""
  want=$(as_postgres cat "$DIR/postgres/PG_VERSION" 2>/dev/null) || want=""
  for dir in /usr/lib/postgresql/*/bin; do
    [ -x "$dir/initdb" ] || continue
    if [ "$(basename "$(dirname "$dir")")" = "$want" ]; then
      printf '%s' "$dir"
      return
    fi
    found=$(printf '%s\n%s\n' "$found" "$dir" | sort -V | tail -n 1)
  done
  if [ -z "$found" ] && command -v initdb >/dev/null 2>&1; then
    found=$(dirname "$(readlink -f "$(command -v initdb)")")
  fi
  [ -n "$found" ] || return 1
  if [ -n "$want" ] && [ "$("$found/postgres" -V | sed 's/.* \([0-9]*\).*/\1/')" != "$want" ]; then
    die "the data in $DIR/postgres were made by PostgreSQL $want, which is not installed: install it, or choose another --dir"
  fi
  printf '%s' "$found"
}

# The postgres user must be able to come to its directory.
check_reachable() {
  local path=$DIR closed=""
  is_root || return 0
  id postgres >/dev/null 2>&1 || die "PostgreSQL does not run as root and there is no user 'postgres': run this script as another user"
  while [ "$path" != / ] && [ -n "$path" ]; do
    if ! as_postgres test -x "$path"; then closed=$path; fi
    path=$(dirname "$path")
  done
  [ -z "$closed" ] || die "PostgreSQL does not run as root but as user 'postgres', which may not enter $closed: choose another directory with --dir, or 'chmod o+x $closed'"
}

admin_psql() { # BIN PSQL_ARGUMENTS...
  local bin=$1
  shift
  PGPASSWORD=$(secret postgres.superuser.password) HOME=/ PGCONNECT_TIMEOUT=5 "$bin/psql" -X -q \
    -h 127.0.0.1 -p "$PORT_postgres" -U postgres -d postgres -v ON_ERROR_STOP=1 "$@"
}

postgres_answers() { # PORT
  local bin
  bin=$(postgres_bin) || return 1
  [ "$(PGPASSWORD=$(secret postgres.password) HOME=/ PGCONNECT_TIMEOUT=2 "$bin/psql" -X -q -A -t -h 127.0.0.1 -p "$1" \
    -U gochat -d gochat -c 'select 1' 2>/dev/null)" = 1 ]
}

init_postgres() { # BIN
  local locale=C sync=()
  # Both know UTF-8; only C.UTF-8 also knows which letters are capitals.
  if locale -a 2>/dev/null | grep -qiE '^C\.utf-?8$'; then locale=C.UTF-8; fi
  if [ "$FAST" = true ]; then sync=(--no-sync); fi
  # The data appear under their name only when they are whole.
  rm -rf "$DIR/postgres.new"
  mkdir -m 700 "$DIR/postgres.new"
  if is_root; then chown postgres: "$DIR/postgres.new"; fi
  # A copy of the password that the postgres user may read, gone when initdb has read it.
  (umask 077 && secret postgres.superuser.password >"$DIR/postgres.initdb.password")
  if is_root; then chown postgres: "$DIR/postgres.initdb.password"; fi
  trap 'rm -f "$DIR/postgres.initdb.password"' EXIT
  as_postgres "$1/initdb" -D "$DIR/postgres.new" -U postgres --pwfile="$DIR/postgres.initdb.password" \
    --auth=scram-sha-256 --encoding=UTF8 --locale="$locale" "${sync[@]+"${sync[@]}"}" \
    </dev/null >>"$DIR/postgres.log" 2>&1 9>&- || fail_with_log postgres "could not make its data directory (initdb)"
  mv "$DIR/postgres.new" "$DIR/postgres"
}

start_postgres() {
  local bin options tries=0
  check_reachable
  bin=$(postgres_bin) || die "PostgreSQL's programs are not installed"
  touch "$DIR/postgres.log"
  if is_root; then chown postgres: "$DIR/postgres.log"; fi
  [ -d "$DIR/postgres" ] || init_postgres "$bin"
  options="-p $PORT_postgres -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=200"
  if [ "$FAST" = true ]; then
    options="$options -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
  fi
  # After a kill -9 the old server's children may live a moment longer and hold its memory.
  until (cd / && as_postgres "$bin/pg_ctl" -s -w -t "$WAIT_S" -D "$DIR/postgres" -l "$DIR/postgres.log" -o "$options" start \
    </dev/null >/dev/null 2>&1 9>&-); do
    tries=$((tries + 1))
    if [ "$tries" -ge 20 ] || ! tail -n 5 "$DIR/postgres.log" | grep -qE 'shared memory block|lock file'; then
      fail_with_log postgres "did not start"
    fi
    sleep 0.25
  done
  as_postgres head -n 1 "$DIR/postgres/postmaster.pid" >"$DIR/postgres.pid"
  postgres_setup_sql | admin_psql "$bin" >>"$DIR/postgres.log" 2>&1 ||
    fail_with_log postgres "does not take the role and the database of GoChat"
  wait_ready postgres
}
