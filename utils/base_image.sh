#!/usr/bin/env bash
# Prints the reference of the base image, after making sure that the engine has it.
set -Eeuo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=lib/log.sh
source "$ROOT/lib/log.sh"
# shellcheck source=lib/engine.sh
source "$ROOT/lib/engine.sh"

readonly IMAGE_PATH='/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

usage() {
  cat <<'EOF'
Usage: base_image.sh ENGINE PROFILE_FILE [OUTPUT_FILE]

Pulls the BASE_IMAGE of a profile (hardware/cpu.env), or bootstraps one like it
from Debian's packages where no container registry is in reach. The variable
BASE_IMAGE, when set, names the image to use instead. The reference is printed
or written to OUTPUT_FILE.
EOF
}

main() {
  answer_help "$@"
  [[ $# -eq 2 || $# -eq 3 ]] || usage_error 'base_image.sh' 'takes ENGINE, PROFILE_FILE and OUTPUT_FILE'
  ENGINE="$1"
  ensure_base "$2" >"${3:-/dev/stdout}"
}

# Prints the reference of an image that the engine has then.
ensure_base() {
  local profile="$1" wanted="${BASE_IMAGE:-}"
  # shellcheck source=hardware/cpu.env
  source "$profile"
  local base="${wanted:-$BASE_IMAGE}" bootstrapped

  if engine_has_image "$base"; then
    printf '%s\n' "$base"
    return 0
  fi
  if [[ -n "$wanted" ]]; then
    engine_pull "$wanted" || die "$wanted" 'cannot be pulled' 'it was named by BASE_IMAGE'
    printf '%s\n' "$wanted"
    return 0
  fi

  bootstrapped="triton_base:$BASE_SUITE-$(sha256sum <<<"$BASE_SUITE $BASE_PACKAGES" | head -c 12)"
  # podman and buildah take a name without a registry for a registry's.
  [[ "$ENGINE" == docker ]] || bootstrapped="localhost/$bootstrapped"
  if ! engine_has_image "$bootstrapped" && ! engine_pull "$base"; then
    bootstrap "$bootstrapped"
  fi
  if engine_has_image "$bootstrapped"; then
    printf '%s\n' "$bootstrapped"
  else
    printf '%s\n' "$base"
  fi
}

# Two builds at once share one bootstrap.
bootstrap() {
  local reference="$1" cache="$ROOT/.cache/base" lock
  mkdir -p "$cache"
  exec {lock}>"$cache/lock"
  flock "$lock"
  engine_has_image "$reference" && return 0
  log "no container registry in reach: making the base image from Debian's packages"
  local tar_file="$cache/${reference##*:}.tar"
  [[ -f "$tar_file" ]] ||
    "$ROOT/utils/bootstrap_base_image.sh" "$BASE_SUITE" "$BASE_PACKAGES" "$tar_file"
  engine_import "$tar_file" "$reference" "$IMAGE_PATH"
}

if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
  main "$@"
fi
