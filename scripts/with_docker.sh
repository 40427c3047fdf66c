#!/usr/bin/env bash
# Runs a command with a docker daemon: one that answers already, or one started for the time of
# the command (as root), and then only that one is stopped. Where none can be had the command runs
# without.
# Usage: with_docker.sh COMMAND [ARGUMENT ...]
set -Eeuo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=lib/log.sh
source "$ROOT/lib/log.sh"

readonly START_TIMEOUT_SECONDS=30

start_daemon() {
  mkdir -p "$ROOT/.cache"
  setsid dockerd >"$ROOT/.cache/dockerd.log" 2>&1 &
  DAEMON_PID=$!
  local tries
  for ((tries = 0; tries < START_TIMEOUT_SECONDS * 5; tries++)); do
    docker version >/dev/null 2>&1 && return 0
    kill -0 "$DAEMON_PID" 2>/dev/null || break
    sleep 0.2
  done
  log "dockerd does not start here ($(tail -n 1 "$ROOT/.cache/dockerd.log"))"
  stop_daemon
}

stop_daemon() {
  [[ -n "$DAEMON_PID" ]] || return 0
  kill "$DAEMON_PID" 2>/dev/null || true
  wait "$DAEMON_PID" 2>/dev/null || true
  DAEMON_PID=''
}

main() {
  DAEMON_PID=''
  if ! docker version >/dev/null 2>&1 && [[ "$(id -u)" -eq 0 ]] && command -v dockerd >/dev/null; then
    trap stop_daemon EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    start_daemon
  fi
  # In the background, so that a signal reaches the trap at once; there the shell has SIGINT ignored,
  # which the command would inherit.
  env --default-signal=INT,QUIT "$@" &
  local command_pid=$! status=0
  trap 'kill "$command_pid" 2>/dev/null; wait "$command_pid"; exit 130' INT
  trap 'kill "$command_pid" 2>/dev/null; wait "$command_pid"; exit 143' TERM
  wait "$command_pid" || status=$?
  exit "$status"
}

main "$@"
