# syntax=docker/dockerfile:1
# Entrepot as an image: built in one stage, run in another as a user without rights.
#
#   docker build -t entrepot .
#   docker run --read-only --tmpfs /tmp -p 8080:8080 -v entrepot:/data entrepot
#
# Nothing outside /data and /tmp is written. Mount your own configuration over /etc/entrepot/config.yaml.

FROM python:3.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/entrepot
WORKDIR /source
# Dependencies first, so that a change of our own code does not fetch them again.
COPY pyproject.toml README.md LICENSE ./
RUN mkdir gateway adapters && touch gateway/__init__.py adapters/__init__.py \
    && /opt/entrepot/bin/pip install . && /opt/entrepot/bin/pip uninstall --yes entrepot
COPY gateway gateway
COPY adapters adapters
RUN /opt/entrepot/bin/pip install --no-deps . && /opt/entrepot/bin/python -m compileall -q /opt/entrepot/lib

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="Entrepot" \
      org.opencontainers.image.description="One package gateway: your packages first, the public registries behind them" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 entrepot \
    && useradd --uid 10001 --gid entrepot --home-dir /data --no-create-home --shell /usr/sbin/nologin entrepot \
    && install --directory --owner entrepot --group entrepot --mode 0700 /data
COPY --from=build /opt/entrepot /opt/entrepot
COPY deploy/container.yaml /etc/entrepot/config.yaml
ENV PATH=/opt/entrepot/bin:$PATH \
    ENTREPOT_CONFIG=/etc/entrepot/config.yaml \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:8080/-/health', timeout=4)"]
ENTRYPOINT ["entrepot"]
CMD ["serve"]
