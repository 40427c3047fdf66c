# shellcheck shell=bash
# One way to use docker, podman and buildah. Sourced after lib/log.sh; ENGINE names the engine.

readonly ENGINES=(docker podman buildah)

# Prints the engine to use: the wanted one, or the first that answers.
find_engine() {
  local wanted="$1" engine
  if [[ -n "$wanted" ]]; then
    engine_answers "$wanted" ||
      die "$wanted" 'does not answer' "is it installed, its daemon started, and may $(id -un) use it?"
    printf '%s\n' "$wanted"
    return 0
  fi
  for engine in "${ENGINES[@]}"; do
    if engine_answers "$engine"; then
      printf '%s\n' "$engine"
      return 0
    fi
  done
  die 'container engine' "none of ${ENGINES[*]} answers" \
    'apt-get install docker.io and start dockerd, or use --no-image'
}

engine_answers() {
  case "$1" in
    docker) timeout --foreground 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1 ;;
    podman) timeout --foreground 10 podman info >/dev/null 2>&1 ;;
    buildah) timeout --foreground 10 buildah images --quiet >/dev/null 2>&1 ;;
  esac
}

# engine_has_image REFERENCE [PLATFORM]
engine_has_image() {
  local reference="$1" platform="${2:-}" format='{{.Os}}/{{.Architecture}}' found
  # shellcheck disable=SC2153
  case "$ENGINE" in
    docker) found="$(docker image inspect --format "$format" "$reference" 2>/dev/null)" ;;
    podman) found="$(podman inspect --type image --format "$format" "$reference" 2>/dev/null)" ;;
    buildah)
      found="$(buildah inspect --type image --format '{{.OCIv1.OS}}/{{.OCIv1.Architecture}}' \
        "$reference" 2>/dev/null)"
      ;;
  esac || return 1
  [[ -z "$platform" || "$found" == "$platform" ]]
}

# engine_digest REFERENCE: prints the digest by which a registry knows an image, nothing for one that
# never came from there
engine_digest() {
  local names
  [[ "$ENGINE" != buildah ]] || return 0
  names="$("$ENGINE" image inspect --format '{{join .RepoDigests "\n"}}' "$1" 2>/dev/null)" || return 0
  # podman gives a name of that form to what was made here too.
  sed -n '/^localhost\//d; /@sha256:/{s/.*@sha256:/sha256:/p;q}' <<<"$names"
}

# engine_label IMAGE KEY: prints a label of an image, nothing where it has none
engine_label() {
  local image="$1" key="$2"
  case "$ENGINE" in
    docker) docker image inspect --format "{{index .Config.Labels \"$key\"}}" "$image" ;;
    podman) podman inspect --type image --format "{{index .Labels \"$key\"}}" "$image" ;;
    buildah) buildah inspect --type image --format "{{index .OCIv1.Config.Labels \"$key\"}}" "$image" ;;
  esac
}

# engine_read_file IMAGE PATH ...: prints files of an image, which may be for another kind of machine
engine_read_file() {
  local image="$1" container path
  shift
  (
    case "$ENGINE" in
      docker | podman) container="$("$ENGINE" create --pull never "$image")" ;;
      buildah) container="$(buildah from --pull-never "$image")" ;;
    esac || exit
    trap '"$ENGINE" rm "$container" >/dev/null' EXIT
    trap 'exit 143' TERM
    for path in "$@"; do
      case "$ENGINE" in
        docker | podman) "$ENGINE" cp "$container:$path" - | tar -xO ;;
        buildah) buildah run --isolation chroot "$container" -- cat "$path" ;;
      esac || exit
    done
  )
}

# Sets PLATFORM_OPTIONS for a platform as docker names it. None for this machine's own: not every
# engine and builder takes them.
set_platform_options() {
  local platform="$1" host
  case "$(uname -m)" in
    x86_64) host=linux/amd64 ;;
    aarch64) host=linux/arm64 ;;
    *) host='' ;;
  esac
  PLATFORM_OPTIONS=()
  [[ -z "$platform" || "$platform" == "$host" ]] || PLATFORM_OPTIONS=(--platform "$platform")
}

# engine_pull REFERENCE PLATFORM
engine_pull() {
  set_platform_options "$2"
  # --foreground: otherwise it leaves the process group by which a build is ended.
  timeout --foreground "${PULL_TIMEOUT_SECONDS:-120}" "$ENGINE" pull "${PLATFORM_OPTIONS[@]}" "$1" >&2
}

# make_uniform FOLDER: takes dates and the user's umask out of what goes into a layer, so that the same
# files always make the same one. Dated by SOURCE_DATE_EPOCH (reproducible-builds.org), 0 where it is
# not set.
make_uniform() {
  chmod -R u=rwX,go=rX -- "$1"
  find "$1" -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH:-0}" -- {} +
}

# engine_build CONTEXT REFERENCE [BUILD_OPTION ...]: where SOURCE_DATE_EPOCH is set it is also the
# image's own date, with engines that can
engine_build() {
  local context="$1" reference="$2"
  shift 2
  if [[ -n "${SOURCE_DATE_EPOCH:-}" ]]; then
    set -- "$@" --build-arg SOURCE_DATE_EPOCH
    [[ "$ENGINE" == docker ]] || set -- "$@" --timestamp "$SOURCE_DATE_EPOCH"
  fi
  case "$ENGINE" in
    docker)
      if docker_has_buildkit; then
        DOCKER_BUILDKIT=1 docker build --tag "$reference" "$@" "$context" >&2
      else
        # Without --force-rm a failed step leaves its container behind.
        DOCKER_BUILDKIT=0 docker build --force-rm --tag "$reference" "$@" "$context" >&2
      fi
      ;;
    # HEALTHCHECK is not part of the OCI format.
    podman | buildah) "$ENGINE" build --format docker --layers --tag "$reference" "$@" "$context" >&2 ;;
  esac
}

# BuildKit is part of clients before 23.0 and a plug-in of later ones.
docker_has_buildkit() {
  local version
  version="$(docker version --format '{{.Client.Version}}')"
  [[ "$version" =~ ^([0-9]|1[0-9]|2[0-2])\. ]] || docker buildx version >/dev/null 2>&1
}

# Prints the id of an image.
engine_image_id() {
  case "$ENGINE" in
    docker | podman) "$ENGINE" image inspect --format '{{.Id}}' "$1" ;;
    buildah) buildah inspect --type image --format '{{.FromImageID}}' "$1" ;;
  esac
}

# engine_forget ID: removes an image that has lost its name, unless the engine needs it for another one
engine_forget() {
  [[ "$ENGINE" != buildah ]] || return 0
  [[ "$("$ENGINE" image inspect --format '{{len .RepoTags}}' "$1" 2>/dev/null)" != 0 ]] ||
    "$ENGINE" rmi "$1" >/dev/null 2>&1 || true
}

# Takes a build's candidate name away, and the image with it unless it has got its final tag.
remove_candidate() {
  local candidate="$1"
  [[ -n "$ENGINE" ]] || return 0
  "$ENGINE" rmi "$candidate" >/dev/null 2>&1 || true
}

# Sets GPU_OPTIONS to what gives all GPUs to a container.
set_gpu_options() {
  case "$ENGINE" in
    docker) GPU_OPTIONS=(--gpus all) ;;
    podman) GPU_OPTIONS=(--device nvidia.com/gpu=all) ;;
    buildah) GPU_OPTIONS=() ;;
  esac
}

# engine_run_gated NAME IMAGE HTTP_PORT GRPC_PORT GPU [SERVE_OPTION ...]: runs the image in the
# foreground until it stops, published on 127.0.0.1 only. With all GPUs where GPU is 1; engines that
# are built for them then go to the folder TENSORRT_ENGINES.
engine_run_gated() {
  local name="$1" image="$2" http_port="$3" grpc_port="$4" gpu="$5"
  shift 5
  local publish=(--publish "127.0.0.1:$http_port:8000" --publish "127.0.0.1:$grpc_port:8001" --env GRPC=on)
  GPU_OPTIONS=()
  if [[ "$gpu" == 1 ]]; then
    set_gpu_options
    [[ -z "${TENSORRT_ENGINES:-}" ]] || publish+=(--volume "$TENSORRT_ENGINES:/engines")
  fi
  publish+=("${GPU_OPTIONS[@]}")
  case "$ENGINE" in
    docker) exec docker run --rm --name "$name" "${publish[@]}" "$image" "$@" ;;
    # Without systemd podman cannot run health checks; without CAP_SYS_RESOURCE it cannot raise
    # limits to its defaults.
    podman)
      exec podman run --rm --name "$name" --no-healthcheck \
        --ulimit nofile=1000:1000 --ulimit nproc=1000:1000 "${publish[@]}" "$image" "$@"
      ;;
    buildah)
      buildah from --name "$name" --pull-never "$image" >/dev/null
      # Without tini, which would keep the server from buildah's signals.
      exec buildah run --isolation chroot --env FRONT=off "$name" -- /opt/tritonserver/bin/serve \
        --http-address=127.0.0.1 --http-port="$http_port" \
        --grpc-address=127.0.0.1 --grpc-port="$grpc_port" --allow-metrics=false "$@"
      ;;
  esac
}

# engine_end_gated NAME PID: ends and removes what engine_run_gated started as process PID.
engine_end_gated() {
  local name="$1" pid="$2"
  case "$ENGINE" in
    docker | podman) "$ENGINE" rm --force "$name" >/dev/null 2>&1 ;;
    buildah)
      # It passes the signal on; what it runs would survive the removal.
      kill "$pid" 2>/dev/null && wait "$pid"
      buildah rm "$name" >/dev/null 2>&1
      ;;
  esac
}
