#!/usr/bin/env bash
# Runs the tests: all parts, or the ones named.
# Usage: test.sh [PART ...], or test.sh format; all parts but arm64 if none is named
set -Eeuo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=lib/log.sh
source "$ROOT/lib/log.sh"
cd "$ROOT"
export PATH="$ROOT/.venv/bin:$PATH"

readonly PARTS=(lint unit shell storages server architectures optimum image arm64)

# What runs when no part is named: lint first, then two lanes at once. Only one of them has servers,
# whose tests count the processes of all servers on the machine.
readonly SERVING=(server architectures optimum image) OTHERS=(unit shell storages)

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
    unit) pytest -m 'not storages and not server and not architectures and not optimum and not image and not arm64' ;;
    shell) bats tests/shell ;;
    storages) pytest -m storages ;;
    server) pytest -m server ;;
    architectures) pytest -m architectures ;;
    optimum)
      scripts/setup.sh --optimum
      pytest -m optimum
      ;;
    image) scripts/with_docker.sh pytest -m image ;;
    arm64) scripts/with_docker.sh pytest -m arm64 ;;
    format) format ;;
    *) usage_error "$1" 'unknown part' "one of ${PARTS[*]}" ;;
  esac
}

run_parts() {
  local part started
  for part in "$@"; do
    started="$SECONDS"
    log "== $part"
    run_part "$part"
    log "== $part: $((SECONDS - started)) s"
  done
}

# All parts in two lanes; the second one's words are shown when it has ended.
run_all() {
  local words status=0
  run_parts lint
  words="$(mktemp)"
  # A process group of its own, so that it can be ended with all that it started.
  set -m
  run_parts "${OTHERS[@]}" >"$words" 2>&1 &
  local others=$!
  set +m
  # shellcheck disable=SC2064
  trap "kill -- -$others 2>/dev/null; rm -f -- '$words'" EXIT
  run_parts "${SERVING[@]}"
  wait "$others" || status=$?
  cat -- "$words"
  return "$status"
}

main() {
  if [[ $# -eq 0 ]]; then
    run_all
  else
    run_parts "$@"
  fi
}

main "$@"
