#!/usr/bin/env bash
# Builds an image from a context of server/ and models/.
set -Eeuo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=lib/log.sh
source "$ROOT/lib/log.sh"
# shellcheck source=lib/engine.sh
source "$ROOT/lib/engine.sh"

usage() {
  cat <<'EOF'
Usage: build_image.sh ENGINE BASE_IMAGE_FILE LABELS_FILE CONTEXT IMAGE

BASE_IMAGE_FILE holds the reference of the base image (utils/base_image.sh);
LABELS_FILE one key=value a line (utils/image_labels.py).
EOF
}

main() {
  answer_help "$@"
  [[ $# -eq 5 ]] || usage_error 'build_image.sh' 'takes ENGINE, BASE_IMAGE_FILE, LABELS_FILE, CONTEXT and IMAGE'
  local base_file="$2" labels_file="$3" context="$4" image="$5" label
  ENGINE="$1"
  local options=(--file "$ROOT/Dockerfile" --build-arg "BASE_IMAGE=$(<"$base_file")")
  while IFS= read -r label; do
    options+=(--label "$label")
  done <"$labels_file"
  engine_build "$context" "$image" "${options[@]}"
}

main "$@"
