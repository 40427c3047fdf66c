#!/bin/bash
# Does what NVIDIA's does (docker/cpu_only/nvidia_entrypoint.sh of triton-inference-server/server).
shopt -s nullglob
for part in "$(dirname "${BASH_SOURCE[0]}")"/entrypoint.d/*; do
  # shellcheck source=/dev/null
  case "$part" in
    *.txt) cat "$part" ;;
    *.sh) source "$part" ;;
  esac
done
[[ $# -gt 0 ]] || exec /bin/bash
exec "$@"
