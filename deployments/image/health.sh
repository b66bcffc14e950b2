#!/bin/bash
# Exits 0 if the server in this container is ready. The image's health check: gochat-health [PORT of its admin port].
for port in ${1:-${GOCHAT_ADMIN_PORT:-9101 9102 9103 9104}}; do
  { exec 3<>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null || continue
  printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3
  read -r -t 4 _ status _ <&3
  [ "$status" = 200 ]
  exit
done
exit 1
