#!/usr/bin/env bash
# Cleans up after a build that was killed with SIGKILL: waits for its process to be gone.
# Usage: guard.sh PID ENGINE WORK CANDIDATE KEEP (1 keeps the work folder)
set -Eeuo pipefail
LIB="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=lib/log.sh
source "$LIB/log.sh"
# shellcheck source=lib/engine.sh
source "$LIB/engine.sh"
# shellcheck source=lib/processes.sh
source "$LIB/processes.sh"

main() {
  local pid="$1" work="$3" candidate="$4" keep="$5"
  ENGINE="$2"
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.3
  done
  [[ ! -s "$work/step_group" ]] || end_processes "-$(<"$work/step_group")"
  remove_candidate "$candidate"
  [[ "$keep" == 1 ]] || rm -rf -- "$work"
}

main "$@"
