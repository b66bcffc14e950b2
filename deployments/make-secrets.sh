#!/bin/sh
# Writes the passwords of docker-compose.yml once, each into the volumes of those who need it.
set -eu
cd "${1:-/secrets}"

# The file that the last of these commands writes says that all are there.
[ -s state/gochat.yaml ] && exit 0
random() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }
redis=$(random) postgres=$(random) token=$(random)
# Only containers that mount a volume can read it, each as a user of its own.
umask 022
printf '%s' "$redis" >engines/redis.password
printf '%s' "$postgres" >engines/postgres.password
printf 'cluster_token: %s\n' "$token" >servers/gochat.yaml
cat >state/gochat.yaml.new <<CONFIG
cluster_token: $token
hot: redis://:$redis@redis:6379
store: postgres://gochat:$postgres@postgres:5432/gochat
CONFIG
mv state/gochat.yaml.new state/gochat.yaml
