#!/usr/bin/env bash
# Removes build outputs, never sources.
set -Eeuo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=lib/log.sh
source "$ROOT/lib/log.sh"

# Everything that this project writes inside its own folder
readonly OUTPUTS=(build)
readonly CACHES=(.cache .mypy_cache .ruff_cache .pytest_cache .hypothesis)
readonly ENVIRONMENTS=(.venv .venv-optimum)

usage() {
  cat <<'EOF'
Usage: cleanup.sh [--cache] [--all]

Removes build/. With --cache also what can be made again by a download or a
conversion (.cache and the tools' caches), with --all the virtual environments
too. Images stay: docker rmi triton_NAME:TAG.
EOF
}

main() {
  local folders=("${OUTPUTS[@]}") folder
  while [[ $# -gt 0 ]]; do
    case "$1" in
      -h | --help)
        usage
        return 0
        ;;
      --cache) folders+=("${CACHES[@]}") ;;
      --all) folders+=("${CACHES[@]}" "${ENVIRONMENTS[@]}") ;;
      *) usage_error "$1" 'unknown option' ;;
    esac
    shift
  done
  for folder in "${folders[@]}"; do
    rm -rf -- "${ROOT:?}/$folder" || die "$folder" 'cannot be removed'
  done
}

main "$@"
