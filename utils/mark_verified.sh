#!/usr/bin/env bash
# Adds to an image that it was checked on its target, and the engines that were built there.
set -Eeuo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=lib/log.sh
source "$ROOT/lib/log.sh"
# shellcheck source=lib/engine.sh
source "$ROOT/lib/engine.sh"

usage() {
  cat <<'EOF'
Usage: mark_verified.sh ENGINE IMAGE ENGINES CONTEXT

Builds IMAGE anew on itself: the files of the folder ENGINES go to its /engines,
its label says that it was verified. CONTEXT is a new folder for the build.
EOF
}

main() {
  answer_help "$@"
  [[ $# -eq 4 ]] || usage_error 'mark_verified.sh' 'takes ENGINE, IMAGE, ENGINES and CONTEXT'
  local image="$2" engines="$3" context="$4"
  ENGINE="$1"
  mkdir -p -- "$context/added"
  if [[ -n "$(ls -A -- "$engines" 2>/dev/null)" ]]; then
    cp -R -- "$engines" "$context/added/engines"
    # Whoever runs the image may add to them.
    chmod -R a+rwX -- "$context/added/engines"
  fi
  engine_build "$context" "$image" --file "$ROOT/server/added/Dockerfile" \
    --build-arg "BASE_IMAGE=$image" --label 'triton-image.verified=on this hardware'
}

main "$@"
