# All servers of GoChat and the client; the command names the mode, and without one it is up.
# make build-image builds it. It runs as uid 10001, with its root file system read-only.
FROM node:24-bookworm-slim AS build
RUN apt-get update \
  && apt-get install -y --no-install-recommends gcc libc6-dev make \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# A layer of its own: it is built again only when the lock file changes.
COPY package.json package-lock.json .npmrc ./
RUN npm ci --loglevel=error && touch node_modules/.installed
COPY . .
# What changes with the lock file alone goes into a layer of its own.
RUN make build-binary OUT=/opt/gochat \
  && mkdir -p /dependencies/bin \
  && mv /opt/gochat/node_modules /dependencies/ \
  && mv /opt/gochat/bin/node /dependencies/bin/

FROM debian:bookworm-slim
RUN useradd --uid 10001 --user-group --shell /usr/sbin/nologin --home-dir /var/lib/gochat --create-home gochat
COPY --from=build /dependencies /opt/gochat
COPY --from=build /opt/gochat /opt/gochat
COPY deployments/image/health.sh /usr/local/bin/gochat-health
ENV PATH=/opt/gochat/bin:$PATH GOCHAT_HOST=0.0.0.0 GOCHAT_DEMO=false GOCHAT_DATA_DIR=/var/lib/gochat
LABEL org.opencontainers.image.title=GoChat org.opencontainers.image.licenses=Apache-2.0
USER 10001:10001
WORKDIR /var/lib/gochat
# REST, the page and /ws; the gateway's TCP and WebSocket; ipconf.
EXPOSE 8080 8900 8901 6789
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=12 CMD ["gochat-health"]
CMD ["gochat"]
