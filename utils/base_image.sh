#!/usr/bin/env bash
# Prints the reference of the base image, after making sure that the engine has it.
set -Eeuo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=lib/log.sh
source "$ROOT/lib/log.sh"
# shellcheck source=lib/engine.sh
source "$ROOT/lib/engine.sh"

usage() {
  cat <<'EOF'
Usage: base_image.sh ENGINE TARGET_FILE [OUTPUT_FILE]

Pulls the BASE_IMAGE of a target (utils/choose_target.py), or bootstraps one like
it from Debian's packages where no container registry is in reach and the target
names a BASE_SUITE. The variable BASE_IMAGE, when set, names the image to use
instead. The reference is printed or written to OUTPUT_FILE. Of a target with a
SLIM_BASE (SLIM_BASE_IMAGE instead) that one is pulled too.
EOF
}

main() {
  answer_help "$@"
  [[ $# -eq 2 || $# -eq 3 ]] || usage_error 'base_image.sh' 'takes ENGINE, TARGET_FILE and OUTPUT_FILE'
  ENGINE="$1"
  ensure_slim_base "$2"
  ensure_base "$2" >"${3:-/dev/stdout}"
}

# What parts of the base image will be copied to, if that is how the image is built; in a subshell,
# for it sets what the target says.
ensure_slim_base() (
  # shellcheck source=/dev/null
  source "$1"
  [[ -n "$SLIM_BASE" ]] || return 0
  local image="${SLIM_BASE_IMAGE:-$SLIM_BASE}"
  # shellcheck disable=SC2153
  engine_has_image "$image" || engine_pull "$image" "$PLATFORM" ||
    die "$image" 'cannot be pulled' 'SLIM_BASE_IMAGE names another'
)

# Prints the reference of an image that the engine has then.
ensure_base() {
  local target="$1" wanted="${BASE_IMAGE:-}"
  # shellcheck source=/dev/null
  source "$target"
  # shellcheck disable=SC2153
  local platform="$PLATFORM"
  local base="${wanted:-$BASE_IMAGE}" bootstrapped

  if engine_has_image "$base" "$platform"; then
    printf '%s\n' "$base"
    return 0
  fi
  if [[ -n "$wanted" || -z "$BASE_SUITE" ]]; then
    engine_pull "$base" "$platform" ||
      die "$base" 'cannot be pulled' "${wanted:+it was named by BASE_IMAGE}"
    printf '%s\n' "$base"
    return 0
  fi

  bootstrapped="triton_base:$BASE_SUITE-$(sha256sum <<<"$BASE_SUITE $BASE_PACKAGES $platform" | head -c 12)"
  # podman and buildah take a name without a registry for a registry's.
  [[ "$ENGINE" == docker ]] || bootstrapped="localhost/$bootstrapped"
  if ! engine_has_image "$bootstrapped" "$platform" && ! engine_pull "$base" "$platform"; then
    bootstrap "$bootstrapped" "$platform"
  fi
  if engine_has_image "$bootstrapped" "$platform"; then
    printf '%s\n' "$bootstrapped"
  else
    printf '%s\n' "$base"
  fi
}

# bootstrap REFERENCE PLATFORM: two builds at once share one
bootstrap() {
  local reference="$1" platform="$2" cache="$ROOT/.cache/base" lock
  mkdir -p "$cache"
  exec {lock}>"$cache/lock"
  flock "$lock"
  engine_has_image "$reference" "$platform" && return 0
  log "no container registry in reach: making the base image from Debian's packages"
  local context="$cache/${reference##*:}"
  mkdir -p -- "$context"
  [[ -f "$context/base.tar" ]] ||
    "$ROOT/utils/bootstrap_base_image.sh" "$BASE_SUITE" "$BASE_PACKAGES" "${platform#*/}" "$context/base.tar"
  set_platform_options "$platform"
  engine_build "$context" "$reference" --file "$ROOT/server/base/Dockerfile" "${PLATFORM_OPTIONS[@]}"
}

if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
  main "$@"
fi
