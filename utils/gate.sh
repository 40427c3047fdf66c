#!/usr/bin/env bash
# Starts a rendered repository or an image, compares its answers with the original's, stops it.
set -Eeuo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=lib/log.sh
source "$ROOT/lib/log.sh"
# shellcheck source=lib/processes.sh
source "$ROOT/lib/processes.sh"
# shellcheck source=lib/engine.sh
source "$ROOT/lib/engine.sh"

# TensorRT builds engines for minutes when it meets a model for the first time on a GPU.
readonly READY_TIMEOUT_SECONDS=180 GPU_READY_TIMEOUT_SECONDS=1200

usage() {
  cat <<'EOF'
Usage: gate.sh MODEL_NAME REFERENCE repository DIR
       gate.sh MODEL_NAME REFERENCE image ENGINE IMAGE

Starts DIR on the embedded server, or IMAGE in a container, on free ports of
127.0.0.1; waits until the model is ready; sends the texts of REFERENCE (the
reference.json of a conversion) over HTTP and gRPC in batches of all sizes and
compares labels and scores; stops what it started.

Environment, as utils/choose_target.py prints it: HARDWARE, the profile (cpu), and
EMBEDDED, the one whose packages serve a repository here; SERVER, what the image
will have, embedded or another, which serves the steps of the ensemble apart;
LACKS, if it is not empty, what this machine has not, so that the model is served
on the CPU; GPU=1 gives GPUs to a container, and TENSORRT_ENGINES names the folder
for engines that it builds for them.
EOF
}

start() {
  local ports
  mapfile -t ports < <("$PYTHON" "$ROOT/utils/free_ports.py" 3)
  HTTP="127.0.0.1:${ports[0]}" GRPC="127.0.0.1:${ports[1]}"
  local run options=()
  [[ -z "$LACKS" ]] || options+=(--allow-fallback)
  case "$KIND" in
    repository)
      # It may have another engine than the target's.
      [[ "$EMBEDDED" == "$HARDWARE" ]] || options=(--allow-fallback)
      # As the server of the image will serve it.
      [[ "${SERVER:-embedded}" == embedded ]] || options+=(--separate-steps)
      run=("$ROOT/run_triton.sh" "${options[@]}" --repository "$TARGET" --hardware "$EMBEDDED"
        --address 127.0.0.1
        --http-port "${ports[0]}" --grpc-port "${ports[1]}" --metrics-port "${ports[2]}")
      ;;
    image)
      CONTAINER="triton-gate-$$-${ports[0]}"
      run=(engine_run_gated "$CONTAINER" "$TARGET" "${ports[0]}" "${ports[1]}" "$GPU" "${options[@]}")
      ;;
  esac
  ("${run[@]}") >"$WORK/server.log" 2>&1 &
  SERVER_PID=$!
}

stop() {
  local status=$?
  trap - EXIT
  [[ -z "$VERIFY_PID" ]] || kill "$VERIFY_PID" 2>/dev/null || true
  [[ -z "$CONTAINER" ]] || engine_end_gated "$CONTAINER" "$SERVER_PID" || true
  if [[ "$KIND" == repository && -n "$SERVER_PID" ]]; then
    # Triton takes two seconds to stop, and one whose answers are known has nothing to put in order.
    kill -KILL "$SERVER_PID" 2>/dev/null || true
  elif [[ -n "$SERVER_PID" ]]; then
    end_processes "$SERVER_PID"
  fi
  # Without the shell's word about who was killed.
  wait 2>/dev/null
  rm -rf -- "$WORK"
  exit "$status"
}

# What the server said before it gave up: the first error of its log that is not about the GPU that
# a CPU machine has not, without Triton's time stamp; else its last line.
server_reason() {
  local line
  line="$(grep -E '^(error: |E[0-9]{4} )' "$WORK/server.log" |
    grep -v -e 'CudaDriverHelper' -e 'unable to create stream' |
    sed -E -e 's/^E[0-9]{4} [^]]*\] "?//' -e 's/"$//' | head -n 1)"
  [[ -n "$line" ]] || line="$(grep -v '^[[:space:]]*$' "$WORK/server.log" | tail -n 1)"
  printf '%s\n' "${line#error: }"
}

main() {
  answer_help "$@"
  [[ $# -ge 4 ]] || usage_error gate.sh 'takes MODEL_NAME, REFERENCE and what to start'
  local model="$1" reference="$2" timeout="$READY_TIMEOUT_SECONDS"
  KIND="$3" TARGET="${!#}" ENGINE='' CONTAINER='' SERVER_PID='' VERIFY_PID=''
  case "$KIND:$#" in
    repository:4) ;;
    image:5) ENGINE="$4" ;;
    *) usage_error gate.sh "takes 'repository DIR' or 'image ENGINE IMAGE'" ;;
  esac
  HARDWARE="${HARDWARE:-cpu}" LACKS="${LACKS:-}" GPU="${GPU:-0}"
  EMBEDDED="${EMBEDDED:-$HARDWARE}"
  [[ -z "$LACKS" ]] || GPU=0
  [[ "$GPU" == 0 ]] || timeout="$GPU_READY_TIMEOUT_SECONDS"
  PYTHON="$(find_python)"
  WORK="$(mktemp -d)"
  trap stop EXIT
  start
  # After the start: a fork that still has these traps would lose a signal.
  trap 'exit 130' INT
  trap 'exit 143' TERM

  "$PYTHON" "$ROOT/utils/verify_answers.py" "$model" "$reference" \
    --http "$HTTP" --grpc "$GRPC" --timeout "$timeout" &
  VERIFY_PID=$!
  local status=0
  # Whichever ends first: the server should not.
  wait -n "$SERVER_PID" "$VERIFY_PID" || status=$?
  if kill -0 "$SERVER_PID" 2>/dev/null; then
    VERIFY_PID=''
    return "$status"
  fi
  cat "$WORK/server.log" >&2
  die 'server' "stopped while it was being checked: $(server_reason)"
}

if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
  main "$@"
fi
