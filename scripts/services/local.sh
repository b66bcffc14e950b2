# shellcheck shell=bash
# The local engine: etcd, Redis and PostgreSQL as processes of this machine, with pid files and logs in DIR.
# shellcheck disable=SC2154

local_start() { # NAMES
  local name pids="" failed=false
  for name in $1; do
    ("start_$name") &
    pids="$pids $!"
  done
  for pid in $pids; do
    wait "$pid" || failed=true
  done
  [ "$failed" = false ] || exit 1
}

# A pid file counts only while its process is still the one that was started: pids are used again.
local_running() { # NAME
  local pid
  pid=$(cat "$DIR/$1.pid" 2>/dev/null) || return 1
  [ -n "$pid" ] && [ -d "/proc/$pid" ] || return 1
  case $1 in
    etcd) tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF -- "--data-dir=$DIR/etcd" ;;
    # Redis overwrites its command line; it works in its own data directory.
    redis) [ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$DIR/redis" ] ;;
    postgres) tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF -- "$DIR/postgres" ;;
  esac
}

# Waits for the rest of a process that was killed: it holds its ports until its last thread is gone, and a thread may
# be waiting for a slow disk.
wait_ended() { # NAME
  local pid until=$((SECONDS + WAIT_S))
  pid=$(cat "$DIR/$1.pid" 2>/dev/null) || return 0
  while has_ended_but_threads "$pid"; do
    [ "$SECONDS" -lt "$until" ] || die "$1 (pid $pid) was killed and a thread of it does not end within $WAIT_S s"
    sleep 0.02
  done
}

# shellcheck disable=SC2012
has_ended_but_threads() { # PID
  grep -qs '^State:[[:space:]]*Z' "/proc/$1/status" && [ "$(ls "/proc/$1/task" 2>/dev/null | wc -l)" -gt 1 ]
}

local_ready() { # NAME
  "${1}_answers" "$(port_of "$1")"
}

fail_with_log() { # NAME WHAT
  {
    printf 'start-services: %s %s; the end of %s:\n' "$1" "$2" "$DIR/$1.log"
    tail -n 20 "$DIR/$1.log" 2>/dev/null | sed 's/^/  /'
  } >&2
  exit 1
}

wait_ready() { # NAME
  local until=$((SECONDS + WAIT_S))
  until local_ready "$1"; do
    local_running "$1" || fail_with_log "$1" "ended while starting"
    [ "$SECONDS" -lt "$until" ] || fail_with_log "$1" "does not answer on 127.0.0.1:$(port_of "$1") after $WAIT_S s"
    sleep 0.05
  done
}

# Runs COMMAND in the background, out of reach of this terminal's Ctrl-C, and notes its pid.
launch() { # NAME COMMAND...
  local name=$1
  shift
  setsid "$@" </dev/null >>"$DIR/$name.log" 2>&1 9>&- &
  printf '%s\n' "$!" >"$DIR/$name.pid"
  # The child is the command once setsid has become it, which takes seconds where the programs must come from a slow disk.
  local until=$((SECONDS + WAIT_S))
  until local_running "$name" || ! kill -0 "$!" 2>/dev/null || [ "$SECONDS" -ge "$until" ]; do sleep 0.01; done
}

start_etcd() {
  local client=http://127.0.0.1:$PORT_etcd peer=http://127.0.0.1:$PORT_etcd_peer quick=()
  mkdir -p "$DIR/etcd" && chmod 700 "$DIR/etcd"
  # One member has nobody to wait for: a short election starts it sooner.
  if [ "$FAST" = true ]; then quick=(--heartbeat-interval=10 --election-timeout=100); fi
  # etcd refuses to start on arm64 without being told so.
  if [ "$(uname -m)" = aarch64 ]; then export ETCD_UNSUPPORTED_ARCH=arm64; fi
  launch etcd etcd --name=gochat "--data-dir=$DIR/etcd" \
    "--listen-client-urls=$client" "--advertise-client-urls=$client" \
    "--listen-peer-urls=$peer" "--initial-advertise-peer-urls=$peer" "--initial-cluster=gochat=$peer" \
    --auto-compaction-mode=periodic --auto-compaction-retention=5m "${quick[@]+"${quick[@]}"}"
  wait_ready etcd
}

start_redis() {
  local durable="appendonly yes
appendfsync everysec"
  if [ "$FAST" = true ]; then durable="appendonly no"; fi
  mkdir -p "$DIR/redis" && chmod 700 "$DIR/redis"
  (
    umask 077
    cat >"$DIR/redis.conf" <<CONF
bind 127.0.0.1
port $PORT_redis
requirepass $(secret redis.password)
dir "$DIR/redis"
daemonize no
supervised no
logfile ""
save ""
$durable
maxmemory 256mb
maxmemory-policy noeviction
CONF
  )
  launch redis redis-server "$DIR/redis.conf"
  wait_ready redis
}

local_stop() { # NAMES
  local name pids="" failed=false
  for name in $1; do
    if ! local_running "$name"; then
      wait_ended "$name"
      rm -f "$DIR/$name.pid"
      say "$name: not running"
      continue
    fi
    (stop_one "$name") &
    pids="$pids $!"
  done
  for pid in $pids; do
    wait "$pid" || failed=true
  done
  [ "$failed" = false ] || exit 1
}

stop_one() { # NAME
  local pid signal=TERM until=$((SECONDS + 15))
  pid=$(cat "$DIR/$1.pid")
  # PostgreSQL's TERM waits for its clients; INT disconnects them.
  if [ "$1" = postgres ]; then signal=INT; fi
  kill -"$signal" "$pid" 2>/dev/null || true
  # A frozen process gets its signal when it goes on; each connection of PostgreSQL is a child.
  # shellcheck disable=SC2046
  kill -CONT "$pid" $(cat "/proc/$pid/task/$pid/children" 2>/dev/null) 2>/dev/null || true
  while local_running "$1"; do
    if [ "$SECONDS" -ge "$until" ]; then
      kill -KILL "$pid" 2>/dev/null || true
      until=$((SECONDS + 5))
    fi
    sleep 0.02
  done
  wait_ended "$1"
  rm -f "$DIR/$1.pid"
  say "$1: stopped"
}
