# The base image without Python and what came with it, as ubuntu:24.04 is to NVIDIA's.
ARG BASE_IMAGE=debian:12-slim
FROM ${BASE_IMAGE} AS whole
# By which its images are found again.
ARG NAME=""
LABEL triton-image.test=${NAME}
RUN dpkg --force-depends --purge libpython3.11 libpython3.11-stdlib libpython3.11-minimal \
    python3.11-minimal libexpat1 libsqlite3-0 libncursesw6 libreadline8 tini

FROM scratch
# hadolint ignore=DL3067
COPY --from=whole / /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["bash"]
