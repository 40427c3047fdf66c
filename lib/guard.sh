#!/usr/bin/env bash
# Cleans up after a build that was killed with SIGKILL: waits for its process to be gone.
# Usage: guard.sh PID ENGINE WORK CANDIDATE
set -Eeuo pipefail
LIB="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=lib/log.sh
source "$LIB/log.sh"
# shellcheck source=lib/engine.sh
source "$LIB/engine.sh"
# shellcheck source=lib/step.sh
source "$LIB/step.sh"

main() {
  local pid="$1" work="$3" candidate="$4"
  ENGINE="$2"
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.3
  done
  [[ ! -s "$work/step_group" ]] || end_group "$(<"$work/step_group")"
  remove_candidate "$candidate"
  rm -rf -- "$work"
}

main "$@"
