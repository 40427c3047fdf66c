#!/usr/bin/env bash
# Stands in for docker, podman and buildah, whichever it is called as. STUB_ENGINES lists those that
# answer; STUB_REGISTRY=1 makes pulls work; STUB_DOCKER_VERSION and STUB_BUILDX=1 are the client's;
# containers run for STUB_RUN_SECONDS, and leave a file in /engines with STUB_TENSORRT=1. A file of
# images/ has what there is to inspect: platform=…, digest=… and label KEY=… lines.
set -euo pipefail
# shellcheck source=tests/shell/stubs/stub.bash
source "${BASH_SOURCE[0]%/*}/stub.bash"
readonly NAME="${0##*/}" IMAGES="$STUB_FOLDER/images"

answers() {
  [[ " ${STUB_ENGINES-docker} " == *" $NAME "* ]]
}

# line_of FILE START: prints what stands behind the last such start of a line
line_of() {
  local file="$1" start="$2" line found=''
  while IFS= read -r line; do
    [[ "$line" != "$start"* ]] || found="${line#"$start"}"
  done <"$file"
  printf '%s' "$found"
}

# What docker, podman and buildah know under different names
inspect() {
  local key platform
  [[ -e "$last_file" ]] || exit 1
  value_after --format "$@"
  case "$VALUE" in
    '{{.Os}}/{{.Architecture}}' | '{{.OCIv1.OS}}/{{.OCIv1.Architecture}}')
      platform="$(line_of "$last_file" platform=)"
      printf '%s\n' "${platform:-linux/amd64}"
      ;;
    *'Id}}' | *'ImageID}}') printf 'sha256:stub\n' ;;
    *RepoTags*) printf '1\n' ;;
    *RepoDigests*) printf '%s\n' "$(line_of "$last_file" digest=)" ;;
    '{{index .Config.Labels '* | '{{index .Labels '* | '{{index .OCIv1.Config.Labels '*)
      key="${VALUE#*\"}"
      printf '%s\n' "$(line_of "$last_file" "label ${key%\"*}=")"
      ;;
    *) exit 125 ;;
  esac
}

# An image has what its base has, and what it is given.
build() {
  local base option previous='' lines=()
  printf 'DOCKER_BUILDKIT=%s\n' "${DOCKER_BUILDKIT-unset}" >>"$STUB_FOLDER/calls"
  printf 'Successfully built\n'
  for option in "$@"; do
    case "$previous" in
      --build-arg)
        base="$IMAGES/${option#BASE_IMAGE=}"
        [[ "$option" != BASE_IMAGE=* || ! -s "$base" ]] || mapfile -t lines <"$base"
        ;;
      --label) lines+=("label $option") ;;
      --platform) lines+=("platform=$option") ;;
    esac
    previous="$option"
  done
  value_after --tag "$@"
  printf '%s\n' "${lines[@]}" >"$IMAGES/${VALUE//\//%}"
}

last="${!#}"
last_file="$IMAGES/${last//\//%}"
key="$NAME ${1:-}"
if [[ "${1:-}" == run ]]; then
  [[ " $* " != *' cat '* ]] || key+=' cat'
  value_after --volume "$@"
  [[ "${STUB_TENSORRT:-0}" != 1 || "$VALUE" != *:/engines ]] || printf 'stub engine\n' >"${VALUE%:*}/stub.engine"
fi
record "$key" "$NAME" "$@"
case "${1:-}" in
  version)
    case "$*" in
      *Client*) printf '%s\n' "${STUB_DOCKER_VERSION-20.10.24}" ;;
      *) answers ;;
    esac
    ;;
  info | images) answers ;;
  buildx) [[ "${STUB_BUILDX:-0}" == 1 ]] ;;
  image | inspect) inspect "$@" ;;
  pull)
    [[ "${STUB_REGISTRY:-0}" == 1 ]] || {
      printf 'Error response from daemon: no registry here\n' >&2
      exit 1
    }
    value_after --platform "$@"
    printf 'platform=%s\n' "${VALUE:-linux/amd64}" >"$last_file"
    ;;
  build) build "$@" ;;
  create | from) printf 'stub-container\n' ;;
  cp)
    printf 'stub %s\n' "${2##*/}" >"$STUB_FOLDER/copied"
    tar -C "$STUB_FOLDER" -c copied
    ;;
  tag)
    [[ -e "$IMAGES/${2//\//%}" ]]
    cp -- "$IMAGES/${2//\//%}" "$last_file"
    ;;
  rmi) rm -- "$last_file" ;;
  run)
    if [[ "$key" == *' cat' ]]; then
      printf 'stub %s\n' "${last##*/}"
    else
      exec sleep "${STUB_RUN_SECONDS:-60}"
    fi
    ;;
  rm) ;;
  *) exit 125 ;;
esac
