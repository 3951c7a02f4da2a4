FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The optional dependency is a Node for machines that lack one; this image has its own. The engine comes for every
# platform; this image is one.
RUN npm ci --omit=dev --omit=optional --no-audit --no-fund && \
    find node_modules/onnxruntime-node/bin -mindepth 3 -maxdepth 3 ! -path "*/linux/$(node -p process.arch)" -exec rm -r {} +

FROM node:24-bookworm-slim AS server
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
COPY detector detector

# `node`, as a number: an orchestrator can tell from it that this isn't root.
USER 1000:1000
VOLUME ["/data/vault", "/data/ledger"]
EXPOSE 8003
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.STRONGROOM_PORT}/livez`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "--max-semi-space-size=2", "bin/strongroom.js"]
CMD ["serve"]

# For NVIDIA's graphics cards: docs/gpu.md. What the engine loads for them comes in the Python wheel of its own release,
# and what that names (readelf -d) in NVIDIA's. All of it is for x64.
FROM python:3.13-slim-bookworm AS cuda
COPY cuda-requirements.txt /
WORKDIR /cuda
RUN pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes --target /wheels -r /cuda-requirements.txt && \
    mkdir provider libraries && \
    mv /wheels/onnxruntime/capi/libonnxruntime_providers_cuda.so provider && \
    mv /wheels/onnxruntime/capi/libonnxruntime_providers_shared.so provider && \
    mv /wheels/nvidia/cu13/lib/libcublas.so.13 libraries && \
    mv /wheels/nvidia/cu13/lib/libcublasLt.so.13 libraries && \
    mv /wheels/nvidia/cu13/lib/libcudart.so.13 libraries && \
    mv /wheels/nvidia/cu13/lib/libcurand.so.10 libraries

FROM server AS gpu
COPY --from=cuda /cuda/provider node_modules/onnxruntime-node/bin/napi-v6/linux/x64
COPY --from=cuda /cuda/libraries /opt/cuda
# Without the last one a card may round f32 to 10 bits of mantissa before it multiplies; the CPU doesn't.
ENV LD_LIBRARY_PATH=/opt/cuda \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    NVIDIA_TF32_OVERRIDE=0

# What is built where no target is named.
FROM server
