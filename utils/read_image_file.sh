#!/usr/bin/env bash
# Copies a file out of an image.
set -Eeuo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=lib/log.sh
source "$ROOT/lib/log.sh"
# shellcheck source=lib/engine.sh
source "$ROOT/lib/engine.sh"

usage() {
  cat <<'EOF'
Usage: read_image_file.sh ENGINE IMAGE PATH OUTPUT_FILE

Writes the file PATH of IMAGE to OUTPUT_FILE.
EOF
}

main() {
  answer_help "$@"
  [[ $# -eq 4 ]] || usage_error 'read_image_file.sh' 'takes ENGINE, IMAGE, PATH and OUTPUT_FILE'
  local image="$2" path="$3" output="$4"
  ENGINE="$1"
  engine_read_file "$image" "$path" >"$output" || die "$image" "has no $path" 'it was built by an older version'
}

main "$@"
