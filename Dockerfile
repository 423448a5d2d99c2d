# syntax=docker/dockerfile:1
# Built in two stages, so that the image that runs holds Python, the wheels and nothing else.

FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/zaraba
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY pyproject.toml README.md ./
COPY model model
COPY supervision supervision
COPY actors actors
COPY api api
RUN /opt/zaraba/bin/pip install .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin zaraba \
    && install -d -o zaraba -g zaraba /data
COPY --from=build /opt/zaraba /opt/zaraba
ENV PATH=/opt/zaraba/bin:$PATH PYTHONUNBUFFERED=1
USER zaraba
VOLUME /data
EXPOSE 8000
# Drain as on Ctrl-C: within 5 seconds, half of what `docker stop` waits.
STOPSIGNAL SIGINT
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health/live', timeout=2)"]
ENTRYPOINT ["zaraba"]
# Without demo markets or a faucet. For a playground: docker run ... zaraba serve --demo --faucet 10000 --bind 0.0.0.0:8000 --data /data
CMD ["serve", "--bind", "0.0.0.0:8000", "--data", "/data"]
