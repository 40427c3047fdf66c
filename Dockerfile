# A rendered model repository on the embedded Triton server.
#
# Context: server/ (utils/embedded_server.py --for image) and models/ (the rendered repository).
# The portable subset of the Dockerfile language: BuildKit, the legacy builder, podman and buildah
# all take it. Nothing is downloaded unless the base lacks the packages.
ARG BASE_IMAGE=debian:12-slim
FROM ${BASE_IMAGE}

ARG BASE_PACKAGES="libpython3.11 libstdc++6 python3.11-minimal tini zlib1g"
# hadolint ignore=DL3008
RUN if ! dpkg-query --show ${BASE_PACKAGES} >/dev/null 2>&1; then \
      apt-get update \
      && apt-get install -y --no-install-recommends ${BASE_PACKAGES} \
      && rm -rf /var/lib/apt/lists/* /var/cache/apt/*; \
    fi

# Folders of the context. The server's tree brings its own Python packages.
ARG SERVER=server
ARG MODELS=models
COPY ${SERVER} /opt/tritonserver
COPY ${MODELS} /models

# For any number: nothing in the image belongs to this user, and nothing needs to.
USER 65532:65532
EXPOSE 8000 8001 8002
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["/opt/tritonserver/python/bin/python3", "/opt/tritonserver/bin/healthcheck"]
ENTRYPOINT ["tini", "--", "/opt/tritonserver/bin/serve"]
