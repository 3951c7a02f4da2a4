FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The optional dependency is a Node for machines that lack one; this image has its own.
RUN npm ci --omit=dev --omit=optional --no-audit --no-fund

FROM node:24-bookworm-slim
WORKDIR /app
# The compile cache is small, and nobody else can write this container's /tmp.
ENV NODE_ENV=production \
    NODE_COMPILE_CACHE=/tmp/strongroom \
    STRONGROOM_HOST=0.0.0.0 \
    STRONGROOM_PORT=8003 \
    STRONGROOM_VAULT=/data/vault \
    STRONGROOM_LEDGER=/data/ledger
# A new volume takes over the owner and the mode of the folder that it covers.
RUN install -d -m 0700 -o node -g node /data/vault /data/ledger /data/snapshots
COPY --from=dependencies /app/node_modules node_modules
COPY package.json LICENSE ./
COPY bin bin
COPY migrations migrations
COPY db db
COPY src src
COPY routes routes

# `node`, as a number: an orchestrator can tell from it that this isn't root.
USER 1000:1000
VOLUME ["/data/vault", "/data/ledger"]
EXPOSE 8003
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.STRONGROOM_PORT}/livez`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "--max-semi-space-size=2", "bin/strongroom.js"]
CMD ["serve"]
