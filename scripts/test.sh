#!/usr/bin/env bash
# Runs the tests: all parts, or the ones named.
# Usage: test.sh [PART ...], or test.sh format; all parts but arm64 if none is named
set -Eeuo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=lib/log.sh
source "$ROOT/lib/log.sh"
cd "$ROOT"
export PATH="$ROOT/.venv/bin:$PATH"

# What runs when no part is named; arm64, which makes a second base image, is asked for.
readonly PARTS=(lint unit shell storages server architectures optimum image reliability)

shell_files() {
  git ls-files --cached --others --exclude-standard '*.sh' '*.bash' '*.bats' server/bin/serve .ci/run
}

lint() {
  local files
  mapfile -t files < <(shell_files)
  shellcheck --external-sources "${files[@]}"
  shfmt -i 2 -ci -d "${files[@]}"
  ruff check .
  ruff format --check --quiet .
  mypy
  hadolint server/*/Dockerfile
}

format() {
  local files
  mapfile -t files < <(shell_files)
  shfmt -i 2 -ci -w "${files[@]}"
  ruff check --fix --quiet .
  ruff format .
}

run_part() {
  case "$1" in
    lint) lint ;;
    # All folders here, and named ones below (tests/conftest.py): to collect tests for nothing takes long.
    unit) pytest -m 'not storages and not server and not architectures and not optimum and not image and not reliability and not arm64' ;;
    shell) bats tests/shell ;;
    storages) pytest tests/storages -m storages ;;
    server) pytest tests/server tests/unit tests/storages -m server ;;
    architectures) pytest tests/architectures -m architectures ;;
    optimum)
      scripts/setup.sh --optimum
      pytest tests/server -m optimum
      ;;
    image) scripts/with_docker.sh pytest tests/image -m image ;;
    reliability) scripts/with_docker.sh pytest tests/reliability -m reliability ;;
    arm64) scripts/with_docker.sh pytest tests/image -m arm64 ;;
    format) format ;;
    *) usage_error "$1" 'unknown part' "one of ${PARTS[*]} arm64" ;;
  esac
}

main() {
  local part parts=("${PARTS[@]}") started
  [[ $# -eq 0 ]] || parts=("$@")
  for part in "${parts[@]}"; do
    started="$SECONDS"
    log "== $part"
    run_part "$part"
    log "== $part: $((SECONDS - started)) s"
  done
}

main "$@"
