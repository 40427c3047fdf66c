#!/usr/bin/env bash
# Stands in for docker, podman and buildah, whichever it is called as. STUB_ENGINES lists those that
# answer; STUB_REGISTRY=1 makes pulls work; STUB_DOCKER_VERSION and STUB_BUILDX=1 are the client's;
# containers run for STUB_RUN_SECONDS.
set -euo pipefail
# shellcheck source=tests/shell/stubs/stub.bash
source "${BASH_SOURCE[0]%/*}/stub.bash"
readonly NAME="${0##*/}" IMAGES="$STUB_FOLDER/images"

answers() {
  [[ " ${STUB_ENGINES-docker} " == *" $NAME "* ]]
}

record "$NAME ${1:-}" "$NAME" "$@"
last="${!#}"
last_file="$IMAGES/${last//\//%}"
case "${1:-}" in
  version)
    case "$*" in
      *Client*) printf '%s\n' "${STUB_DOCKER_VERSION-20.10.24}" ;;
      *) answers ;;
    esac
    ;;
  info | images) answers ;;
  buildx) [[ "${STUB_BUILDX:-0}" == 1 ]] ;;
  image | inspect) [[ -e "$last_file" ]] ;;
  pull)
    [[ "${STUB_REGISTRY:-0}" == 1 ]] || {
      printf 'Error response from daemon: no registry here\n' >&2
      exit 1
    }
    : >"$last_file"
    ;;
  build)
    printf 'DOCKER_BUILDKIT=%s\n' "${DOCKER_BUILDKIT-unset}" >>"$STUB_FOLDER/calls"
    printf 'Successfully built\n'
    value_after --tag "$@"
    : >"$IMAGES/${VALUE//\//%}"
    ;;
  import)
    [[ -f "${*: -2:1}" ]]
    : >"$last_file"
    ;;
  commit) : >"$last_file" ;;
  from) printf 'stub-container\n' ;;
  tag)
    [[ -e "$IMAGES/${2//\//%}" ]]
    : >"$last_file"
    ;;
  rmi) rm -- "$last_file" ;;
  run) exec sleep "${STUB_RUN_SECONDS:-60}" ;;
  rm | add | config) ;;
  *) exit 125 ;;
esac
