# shellcheck shell=bash
# Ending processes. Sourced.

# end_processes PID, or -GROUP: asks first, waits, then makes it. Triton itself gives up after 8 s.
end_processes() {
  local target="$1" tries
  kill -TERM -- "$target" 2>/dev/null || return 0
  for ((tries = 0; tries < 120; tries++)); do
    kill -0 -- "$target" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL -- "$target" 2>/dev/null || true
}
