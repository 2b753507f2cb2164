# One target per service: docker build --target worker -t jobfleet-worker .
# Each image holds the locked packages and our wheels, no source and no build tools of ours.

FROM python:3.13.7-slim-bookworm AS wheels
RUN python -m venv /opt/build
COPY requirements-build.lock /source/
RUN /opt/build/bin/pip install --no-cache-dir --require-hashes -r /source/requirements-build.lock
COPY pyproject.toml hatch_build.py *.md LICENSE /source/
COPY client /source/client
COPY shared /source/shared
COPY services /source/services
# Without build isolation, which would fetch other versions of the build's tools, unchecked.
RUN RELEASE_JOBFLEET=1 /opt/build/bin/pip wheel --no-deps --no-build-isolation \
    --wheel-dir /wheels /source/client /source

# What submits jobs: the client alone, with the libraries of the servers and of the console.
FROM python:3.13.7-slim-bookworm AS client
RUN python -m venv /opt/jobfleet
COPY requirements-client.lock /source/
RUN /opt/jobfleet/bin/pip install --no-cache-dir --require-hashes -r /source/requirements-client.lock
COPY --from=wheels /wheels /wheels
RUN /opt/jobfleet/bin/pip install --no-cache-dir --no-deps /wheels/jobfleet_client-*.whl

FROM python:3.13.7-slim-bookworm AS fleet
RUN python -m venv /opt/jobfleet
COPY requirements.lock /source/
RUN /opt/jobfleet/bin/pip install --no-cache-dir --require-hashes -r /source/requirements.lock
COPY --from=wheels /wheels /wheels
RUN /opt/jobfleet/bin/pip install --no-cache-dir --no-deps /wheels/*.whl

FROM python:3.13.7-slim-bookworm AS service
LABEL org.opencontainers.image.source="https://github.com/jobfleet/jobfleet" \
    org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.version="0.1.0"
RUN useradd --system --uid 10001 --create-home jobfleet
ENV PATH=/opt/jobfleet/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /home/jobfleet

# A console that submits one test job for each key.
FROM service AS publisher
LABEL org.opencontainers.image.title="jobfleet publisher"
COPY --from=client /opt/jobfleet /opt/jobfleet
HEALTHCHECK --interval=30s --timeout=15s --retries=3 \
    CMD ["python", "-m", "jobfleet_publisher", "--check"]
ENTRYPOINT ["python", "-m", "jobfleet_publisher"]

# Runs jobs; SIGTERM drains it.
FROM service AS worker
LABEL org.opencontainers.image.title="jobfleet worker"
COPY --from=fleet /opt/jobfleet /opt/jobfleet
ENV JOBFLEET_METRICS_PORT=9100
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9100/readyz', timeout=4)"]
ENTRYPOINT ["jobfleet", "worker"]

# The dashboard and REST API, on port 8000.
FROM service AS dashboard
LABEL org.opencontainers.image.title="jobfleet dashboard"
COPY --from=fleet /opt/jobfleet /opt/jobfleet
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
ENTRYPOINT ["jobfleet", "dashboard", "--host", "0.0.0.0", "--port", "8000"]
