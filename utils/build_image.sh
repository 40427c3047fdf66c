#!/usr/bin/env bash
# Builds an image from a context of server/, models/ and certificates/, each with what goes to /.
set -Eeuo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=lib/log.sh
source "$ROOT/lib/log.sh"
# shellcheck source=lib/engine.sh
source "$ROOT/lib/engine.sh"

# What a Dockerfile may use without declaring it, and what does not stay in the image.
readonly PROXY_VARIABLES=(http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY)

usage() {
  cat <<'EOF'
Usage: build_image.sh ENGINE TARGET_FILE BASE_IMAGE_FILE LABELS_FILE CONTEXT IMAGE

TARGET_FILE comes from utils/choose_target.py; BASE_IMAGE_FILE holds the reference
of the base image (utils/base_image.sh); LABELS_FILE one key=value a line
(utils/image_labels.py). Proxies of the environment are passed on. Files of the
image are dated by SOURCE_DATE_EPOCH (0), and so is, when it is set, the image,
by engines that can.
EOF
}

main() {
  answer_help "$@"
  [[ $# -eq 6 ]] ||
    usage_error 'build_image.sh' 'takes ENGINE, TARGET_FILE, BASE_IMAGE_FILE, LABELS_FILE, CONTEXT and IMAGE'
  local target="$2" base labels_file="$4" context="$5" image="$6" label name gpus=void digest
  ENGINE="$1" base="$(<"$3")"
  # shellcheck source=/dev/null
  source "$target"
  [[ "$GPU" == 0 ]] || gpus=all
  [[ -z "$SLIM_BASE" ]] || SLIM_BASE="${SLIM_BASE_IMAGE:-$SLIM_BASE}"
  local options=(--file "$DOCKERFILE" --build-arg "BASE_IMAGE=$base" --build-arg "GPUS=$gpus")
  [[ -z "$BASE_PACKAGES" ]] || options+=(--build-arg "BASE_PACKAGES=$BASE_PACKAGES")
  for name in SLIM_BASE PROVIDERS; do
    [[ -z "${!name:-}" ]] || options+=(--build-arg "$name=${!name}")
  done
  for name in "${PROXY_VARIABLES[@]}"; do
    # Without a value: the engine takes it from the environment, and no list of processes shows it.
    [[ -z "${!name:-}" ]] || options+=(--build-arg "$name")
  done
  while IFS= read -r label; do
    options+=(--label "$label")
  done <"$labels_file"
  options+=(--label "org.opencontainers.image.base.name=$base")
  digest="$(engine_digest "$base")"
  [[ -z "$digest" ]] || options+=(--label "org.opencontainers.image.base.digest=$digest")
  # shellcheck disable=SC2153
  set_platform_options "$PLATFORM"
  mkdir -p -- "$context/certificates"
  make_uniform "$context"
  engine_build "$context" "$image" "${PLATFORM_OPTIONS[@]}" "${options[@]}"
}

main "$@"
