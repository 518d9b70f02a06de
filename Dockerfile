# syntax=docker/dockerfile:1
# Two stages: the first has compilers, the second only what runs.

# Debian 12 with Rust: Debian's own is older than edition 2024.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends make python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN make wheel
# Exactly the locked versions, then the server itself without looking anything up.
RUN python3 -m venv /opt/witness \
    && .venv/bin/uv pip install --quiet --python /opt/witness/bin/python \
        --require-hashes --requirement requirements/runtime.lock \
    && .venv/bin/uv pip install --quiet --python /opt/witness/bin/python --no-deps dist/*.whl

FROM debian:12-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates fonts-noto-cjk openssl python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home --shell /usr/sbin/nologin witness
COPY --from=build /opt/witness /opt/witness
ENV PATH=/opt/witness/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    WITNESS_SERVER__HOST=0.0.0.0 \
    WITNESS_MEDIA__PORT=40000 \
    WITNESS_LOG__FORMAT=json
USER witness
EXPOSE 8080/tcp 40000-40127/udp 40000-40127/tcp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["witness", "health"]
ENTRYPOINT ["witness"]
CMD ["serve"]
