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

engine_has_image() {
  local reference="$1"
  # shellcheck disable=SC2153
  case "$ENGINE" in
    docker) docker image inspect "$reference" >/dev/null 2>&1 ;;
    podman | buildah) "$ENGINE" inspect --type image "$reference" >/dev/null 2>&1 ;;
  esac
}

engine_pull() {
  # --foreground: otherwise it leaves the process group by which a build is ended.
  timeout --foreground "${PULL_TIMEOUT_SECONDS:-120}" "$ENGINE" pull "$1" >&2
}

# engine_import TAR_FILE REFERENCE PATH_VARIABLE
engine_import() {
  local tar_file="$1" reference="$2" path_variable="$3" container
  case "$ENGINE" in
    docker | podman)
      "$ENGINE" import --change "ENV PATH=$path_variable" "$tar_file" "$reference" >&2
      ;;
    buildah)
      container="$(buildah from scratch)"
      buildah add "$container" "$tar_file" / >&2
      buildah config --env "PATH=$path_variable" "$container"
      buildah commit --rm "$container" "$reference" >&2
      ;;
  esac
}

# engine_build CONTEXT REFERENCE [BUILD_OPTION ...]
engine_build() {
  local context="$1" reference="$2"
  shift 2
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

# Takes a build's candidate name away, and the image with it unless it has got its final tag.
remove_candidate() {
  local candidate="$1"
  [[ -n "$ENGINE" ]] || return 0
  "$ENGINE" rmi "$candidate" >/dev/null 2>&1 || true
}

# engine_run_gated NAME IMAGE HTTP_PORT GRPC_PORT: runs the image in the foreground until it stops,
# published on 127.0.0.1 only.
engine_run_gated() {
  local name="$1" image="$2" http_port="$3" grpc_port="$4"
  local publish=(--publish "127.0.0.1:$http_port:8000" --publish "127.0.0.1:$grpc_port:8001")
  case "$ENGINE" in
    docker) exec docker run --rm --name "$name" "${publish[@]}" "$image" ;;
    # Without systemd podman cannot run health checks; without CAP_SYS_RESOURCE it cannot raise
    # limits to its defaults.
    podman)
      exec podman run --rm --name "$name" --no-healthcheck \
        --ulimit nofile=1000:1000 --ulimit nproc=1000:1000 "${publish[@]}" "$image"
      ;;
    buildah)
      buildah from --name "$name" --pull-never "$image" >/dev/null
      # Without tini, which would keep the server from buildah's signals.
      exec buildah run --isolation chroot "$name" -- /opt/tritonserver/bin/serve \
        --http-address=127.0.0.1 --http-port="$http_port" \
        --grpc-address=127.0.0.1 --grpc-port="$grpc_port" --allow-metrics=false
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
