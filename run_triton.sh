#!/usr/bin/env bash
# Serves an image, or a rendered model repository on the embedded server, in the foreground.
set -Eeuo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=lib/log.sh
source "$ROOT/lib/log.sh"
# shellcheck source=lib/engine.sh
source "$ROOT/lib/engine.sh"

usage() {
  cat <<'EOF'
Usage: run_triton.sh [options] IMAGE
       run_triton.sh [options] --repository DIR

Serves until SIGTERM or Ctrl-C.

Options:
  --repository DIR     serve this rendered repository without a container
  --http-port N        default 8000
  --grpc-port N        default 8001
  --metrics-port N     default 8002
  --address ADDRESS    listen here only (default: all addresses for an image;
                       127.0.0.1 for a repository, which nothing protects)
  --shm-size SIZE      shared memory of the container (default 256m)
  --engine NAME        docker or podman (default: the first that answers)
  --gpus               give all GPUs to the container
  --hardware NAME      serve a repository with the packages of this profile
                       (default: what its hardware.json says)
  --allow-fallback     serve on the CPU where the hardware is not there
  --cache TEXTS        keep the answers of as many texts, should they come again
  --separate-steps     serve the ensemble as three models, as NVIDIA's server does
  -h, --help
EOF
}

parse_arguments() {
  REPOSITORY='' IMAGE='' HTTP_PORT=8000 GRPC_PORT=8001 METRICS_PORT=8002
  ADDRESS='' SHM_SIZE='256m' WANTED_ENGINE='' HARDWARE='' GPUS=0 SERVE_OPTIONS=()
  while [[ $# -gt 0 ]]; do
    case "$1" in
      -h | --help)
        usage
        exit 0
        ;;
      --allow-fallback | --separate-steps)
        SERVE_OPTIONS+=("$1")
        shift
        ;;
      --gpus)
        GPUS=1
        shift
        ;;
      --cache)
        [[ $# -ge 2 ]] || usage_error "$1" 'needs a value'
        SERVE_OPTIONS+=("--cache=$2")
        shift 2
        ;;
      --repository | --http-port | --grpc-port | --metrics-port | --address | --shm-size | --engine | --hardware)
        [[ $# -ge 2 ]] || usage_error "$1" 'needs a value'
        case "$1" in
          --repository) REPOSITORY="$2" ;;
          --http-port) HTTP_PORT="$2" ;;
          --grpc-port) GRPC_PORT="$2" ;;
          --metrics-port) METRICS_PORT="$2" ;;
          --address) ADDRESS="$2" ;;
          --shm-size) SHM_SIZE="$2" ;;
          --engine) WANTED_ENGINE="$2" ;;
          --hardware) HARDWARE="$2" ;;
        esac
        shift 2
        ;;
      -*) usage_error "$1" 'unknown option' ;;
      *)
        [[ -z "$IMAGE" ]] || usage_error "$1" 'one image only'
        IMAGE="$1"
        shift
        ;;
    esac
  done
  [[ -n "$IMAGE" || -n "$REPOSITORY" ]] || usage_error 'run_triton.sh' 'takes IMAGE or --repository DIR'
  [[ "$GPUS" == 0 || -n "$IMAGE" ]] || usage_error --gpus 'is for an image' 'a repository sees those of this machine'
  [[ -z "$HARDWARE" || -n "$REPOSITORY" ]] || usage_error --hardware 'is for --repository' 'an image has its own'
  [[ -z "$IMAGE" || -z "$REPOSITORY" ]] || usage_error "$IMAGE" 'takes IMAGE or --repository, not both'
  case "$WANTED_ENGINE" in
    '' | docker | podman) ;;
    *) usage_error --engine "must be docker or podman, not '$WANTED_ENGINE'" ;;
  esac
}

check_ports() {
  local port
  [[ "$HTTP_PORT" != "$GRPC_PORT" && "$HTTP_PORT" != "$METRICS_PORT" && "$GRPC_PORT" != "$METRICS_PORT" ]] ||
    usage_error 'ports' 'the three must be different'
  for port in "$HTTP_PORT" "$GRPC_PORT" "$METRICS_PORT"; do
    [[ "$port" =~ ^[1-9][0-9]{0,4}$ && "$port" -le 65535 ]] ||
      usage_error "$port" 'is not a port number'
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      die "port $port" 'in use' 'choose another with --http-port, --grpc-port or --metrics-port'
    fi
  done
}

# Prints the profile that the repository was rendered for.
repository_hardware() {
  local file="$REPOSITORY/hardware.json" name=''
  [[ ! -f "$file" ]] || name="$(sed -n 's/^ *"hardware": "\([a-z0-9-]*\)".*/\1/p' "$file")"
  printf '%s\n' "${name:-cpu}"
}

serve_repository() {
  [[ -d "$REPOSITORY" ]] || die "$REPOSITORY" 'no such folder'
  local python server
  python="$(find_python)"
  server="$("$python" "$ROOT/utils/embedded_server.py" --hardware "${HARDWARE:-"$(repository_hardware)"}")"
  ADDRESS="${ADDRESS:-127.0.0.1}"
  MODEL_REPOSITORY="$REPOSITORY" exec "$server/bin/serve" \
    --http-address="$ADDRESS" --http-port="$HTTP_PORT" \
    --grpc-address="$ADDRESS" --grpc-port="$GRPC_PORT" \
    --metrics-address="$ADDRESS" --metrics-port="$METRICS_PORT" "${SERVE_OPTIONS[@]}"
}

serve_image() {
  ENGINE="$(find_engine "$WANTED_ENGINE")"
  [[ "$ENGINE" != buildah ]] || die buildah 'builds images but does not serve them' 'use docker or podman'
  engine_has_image "$IMAGE" || die "$IMAGE" "no such image in $ENGINE"
  GPU_OPTIONS=()
  [[ "$GPUS" == 0 ]] || set_gpu_options
  ADDRESS="${ADDRESS:-0.0.0.0}"
  exec "$ENGINE" run --rm --shm-size="$SHM_SIZE" "${GPU_OPTIONS[@]}" \
    --publish "$ADDRESS:$HTTP_PORT:8000" \
    --publish "$ADDRESS:$GRPC_PORT:8001" \
    --publish "$ADDRESS:$METRICS_PORT:8002" \
    "$IMAGE" "${SERVE_OPTIONS[@]}"
}

main() {
  parse_arguments "$@"
  check_ports
  if [[ -n "$REPOSITORY" ]]; then
    serve_repository
  else
    serve_image
  fi
}

if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
  main "$@"
fi
