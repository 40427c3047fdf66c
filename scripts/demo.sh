#!/usr/bin/env bash
# Trains a small real classifier, makes its image, starts it, asks it with curl, stops it.
set -Eeuo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=lib/log.sh
source "$ROOT/lib/log.sh"
# shellcheck source=lib/engine.sh
source "$ROOT/lib/engine.sh"

readonly MODEL_NAME='support_tickets'
readonly TAG='demo'
readonly TEXTS=('I was charged twice for the same order' 'The app crashes when I open the camera' 'помогите мне')

train() {
  local python="$1" stamp
  stamp="$(cat "$ROOT/examples/train_demo.py" "$ROOT/examples/support_tickets.csv" "$ROOT"/requirements*.txt |
    sha256sum | head -c 16)"
  CHECKPOINT="$ROOT/.cache/demo/$stamp"
  [[ -d "$CHECKPOINT" ]] || {
    log 'fine-tuning a MiniLM on examples/support_tickets.csv'
    "$python" "$ROOT/examples/train_demo.py" "$CHECKPOINT" >&2
  }
}

wait_until_ready() {
  local port="$1" pid="$2" tries
  for ((tries = 0; tries < 600; tries++)); do
    curl --silent --fail --noproxy '*' "127.0.0.1:$port/v2/health/ready" && return 0
    kill -0 "$pid" 2>/dev/null || return 1
    sleep 0.1
  done
  return 1
}

stop() {
  if [[ -n "$SERVER_PID" ]]; then
    kill "$SERVER_PID" 2>/dev/null || true
    wait "$SERVER_PID" 2>/dev/null || true
  fi
  [[ -z "$REPOSITORY" ]] || rm -rf -- "$REPOSITORY"
}

# Asks with curl as a user would, showing the request.
ask() {
  local port="$1" body
  body='{"inputs":[{"name":"text_input","shape":[1,1],"datatype":"BYTES","data":["'"${TEXTS[0]}"'"]}]}'
  printf "\n\$ curl -X POST localhost:%s/v2/models/%s/infer -d '%s'\n" "$port" "$MODEL_NAME" "$body"
  curl --silent --show-error --fail-with-body --noproxy '*' \
    -X POST "127.0.0.1:$port/v2/models/$MODEL_NAME/infer" -d "$body"
  printf '\n\n$ utils/client.py -m %s …\n' "$MODEL_NAME"
  "$PYTHON" "$ROOT/utils/client.py" -m "$MODEL_NAME" -u "127.0.0.1:$port" "${TEXTS[@]}"
}

main() {
  local ports server=() arguments
  PYTHON="$(find_python)"
  SERVER_PID='' REPOSITORY=''
  trap stop EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  train "$PYTHON"
  arguments=("$CHECKPOINT/model" "$CHECKPOINT/tokenizer" "$CHECKPOINT/id2label.json" "$MODEL_NAME" "$TAG" 4)
  mapfile -t ports < <("$PYTHON" "$ROOT/utils/free_ports.py" 3)

  if (find_engine '') >/dev/null 2>&1; then
    local image
    image="$("$ROOT/make_triton_image.sh" "${arguments[@]}")"
    server=("$image")
  else
    log 'no container engine answers here: serving on the embedded server, without an image'
    REPOSITORY="$(mktemp -d)"
    "$ROOT/make_triton_image.sh" --no-image --output "$REPOSITORY" "${arguments[@]}" >/dev/null
    server=(--repository "$REPOSITORY")
  fi

  "$ROOT/run_triton.sh" "${server[@]}" --address 127.0.0.1 --http-port "${ports[0]}" \
    --grpc-port "${ports[1]}" --metrics-port "${ports[2]}" >"$ROOT/.cache/demo.log" 2>&1 &
  SERVER_PID=$!
  wait_until_ready "${ports[0]}" "$SERVER_PID" ||
    die 'server' "not ready: $(tail -n 1 "$ROOT/.cache/demo.log")"
  ask "${ports[0]}"
}

main "$@"
