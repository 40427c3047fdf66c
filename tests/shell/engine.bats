#!/usr/bin/env bats
# lib/engine.sh and utils/base_image.sh: what docker, podman and buildah are told.

load helper

setup_file() {
  make_shared_files
  copy_scripts "$BATS_FILE_TMPDIR/repo"
}

setup() {
  enter_workplace "$BATS_TEST_TMPDIR" "$BATS_FILE_TMPDIR/repo"
  export STUB_RUN_SECONDS=0
  # shellcheck source=lib/log.sh
  source "$REPO/lib/log.sh"
  # shellcheck source=lib/engine.sh
  source "$REPO/lib/engine.sh"
}

teardown() {
  end_processes
}

# base_image ENGINE [OUTPUT_FILE]
base_image() {
  local engine="$1"
  shift
  run --separate-stderr "$REPO/utils/base_image.sh" "$engine" "$REPO/hardware/cpu.env" "$@"
}

# no_base_image: the engines lack it and cannot pull it; .cache/ is written to a copy
no_base_image() {
  rm "$STUB_FOLDER/images/debian:12-slim"
  REPO="$BATS_TEST_TMPDIR/repo"
  copy_scripts "$REPO"
}

bootstrapped() {
  find "$STUB_FOLDER/images" -name '*triton_base*' -printf '%f\n' | tr % /
}

@test "docker is the first engine that is asked" {
  STUB_ENGINES='buildah podman docker' run find_engine ''
  assert_output docker
  assert_not_called '(podman|buildah) .*'
}

@test "podman comes after docker" {
  STUB_ENGINES='buildah podman' run find_engine ''
  assert_output podman
  assert_not_called 'buildah .*'
}

@test "buildah comes last" {
  STUB_ENGINES='buildah' run find_engine ''
  assert_output buildah
}

@test "no engine that answers is an error with a way out" {
  STUB_ENGINES='' run --separate-stderr find_engine ''
  assert_error 1 'container engine'
  assert_regex "$stderr" '--no-image'
}

@test "the wanted engine is taken though another comes first" {
  STUB_ENGINES='docker podman buildah' run find_engine buildah
  assert_success
  assert_output buildah
}

@test "a wanted engine that does not answer is an error though another would" {
  STUB_ENGINES='docker' run --separate-stderr find_engine podman
  assert_error 1 podman
}

@test "a client without a daemon does not answer" {
  STUB_ENGINES='' run engine_answers docker
  assert_failure
  assert_called 'docker version .*Server.*'
}

@test "an engine that hangs does not answer" {
  local real
  real="$(command -v timeout)"
  # A tenth of a second for the ten that the script allows
  # shellcheck disable=SC2016
  printf '#!/usr/bin/env bash\nexec %q "${@/#10/0.1}"\n' "$real" >"$BATS_TEST_TMPDIR/timeout"
  chmod +x "$BATS_TEST_TMPDIR/timeout"
  STUB_HANG='docker version' STUB_ENGINES='docker podman' PATH="$BATS_TEST_TMPDIR:$PATH" run find_engine ''
  assert_output podman
}

@test "docker is asked for an image as docker wants it" {
  ENGINE=docker
  run engine_has_image debian:12-slim
  assert_success
  assert_called 'docker image inspect debian:12-slim'
}

@test "podman is asked for an image as podman wants it" {
  ENGINE=podman
  run engine_has_image debian:12-slim
  assert_success
  assert_called 'podman inspect --type image debian:12-slim'
}

@test "an image that the engine lacks is not there" {
  ENGINE=buildah
  run engine_has_image missing:1
  assert_failure
  assert_called 'buildah inspect --type image missing:1'
}

# assert_buildkit VALUE: what docker build gets in DOCKER_BUILDKIT
assert_buildkit() {
  ENGINE=docker
  run engine_build context triton_cls:1
  assert_success
  assert_called "DOCKER_BUILDKIT=$1"
}

@test "a client before 23 builds with BuildKit of its own" {
  STUB_DOCKER_VERSION='20.10.24+dfsg1' assert_buildkit 1
  assert_not_called 'docker buildx .*'
}

@test "a new client without buildx builds without BuildKit" {
  STUB_DOCKER_VERSION='28.0.1' STUB_BUILDX=0 assert_buildkit 0
}

@test "a new client with buildx builds with BuildKit" {
  STUB_DOCKER_VERSION='28.0.1' STUB_BUILDX=1 assert_buildkit 1
}

@test "the client 23 counts as new" {
  STUB_DOCKER_VERSION='23.0.0' STUB_BUILDX=0 assert_buildkit 0
}

@test "without BuildKit a failed build leaves no container" {
  STUB_DOCKER_VERSION='28.0.1' STUB_BUILDX=0 assert_buildkit 0
  assert_called 'docker build .*--force-rm .*'
}

@test "docker builds with tag, options and context in that order" {
  ENGINE=docker
  engine_build 'my context' triton_cls:1 --file Dockerfile --label 'a=b c'
  assert_called 'docker build --tag triton_cls:1 --file Dockerfile --label a=b\\ c my\\ context'
}

@test "podman builds in docker's format with layers" {
  ENGINE=podman
  engine_build context triton_cls:1 --file Dockerfile
  assert_called 'podman build --format docker --layers --tag triton_cls:1 --file Dockerfile context'
}

@test "buildah builds in docker's format with layers" {
  ENGINE=buildah
  engine_build context triton_cls:1 --file Dockerfile
  assert_called 'buildah build --format docker --layers --tag triton_cls:1 --file Dockerfile context'
}

@test "what a build prints goes to stderr" {
  ENGINE=docker
  run --separate-stderr engine_build context triton_cls:1
  assert_output ''
  assert_equal "$stderr" 'Successfully built'
}

@test "a build that fails is a failure" {
  ENGINE=docker
  STUB_FAIL='docker build' run engine_build context triton_cls:1
  assert_failure
}

@test "docker imports a tar file with a PATH" {
  ENGINE=docker
  : >base.tar
  engine_import base.tar base:1 /usr/bin:/bin
  assert_called 'docker import --change ENV\\ PATH=/usr/bin:/bin base.tar base:1'
}

@test "buildah imports a tar file with a PATH" {
  ENGINE=buildah
  : >base.tar
  run --separate-stderr engine_import base.tar base:1 /usr/bin:/bin
  assert_output ''
  assert_called 'buildah add stub-container base.tar /'
  assert_called 'buildah config --env PATH=/usr/bin:/bin stub-container'
  assert_called 'buildah commit --rm stub-container base:1'
}

@test "each engine takes a candidate away with rmi" {
  local engine
  for engine in docker podman buildah; do
    ENGINE="$engine"
    : >"$STUB_FOLDER/images/triton_candidate:1"
    remove_candidate triton_candidate:1
    assert_called "$engine rmi triton_candidate:1"
  done
}

@test "a candidate that is not there is no error" {
  ENGINE=docker
  run --separate-stderr remove_candidate missing:1
  assert_success
  assert_equal "$output$stderr" ''
}

@test "without an engine there is no candidate to take away" {
  ENGINE=''
  remove_candidate triton_candidate:1
  assert_no_calls
}

@test "docker runs the gated image on the loopback address and removes it" {
  ENGINE=docker
  run engine_run_gated name triton_cls:1 18000 18001
  assert_success
  assert_called 'docker run --rm --name name --publish 127\.0\.0\.1:18000:8000 --publish 127\.0\.0\.1:18001:8001 triton_cls:1'
}

@test "podman runs the gated image on the loopback address and removes it" {
  ENGINE=podman
  run engine_run_gated name triton_cls:1 18000 18001
  assert_success
  assert_called 'podman run --rm --name name .*--publish 127\.0\.0\.1:18000:8000 --publish 127\.0\.0\.1:18001:8001 triton_cls:1'
}

@test "buildah runs the gated image's server on the loopback address" {
  ENGINE=buildah
  run engine_run_gated name triton_cls:1 18000 18001
  assert_success
  assert_called 'buildah from --name name --pull-never triton_cls:1'
  assert_called 'buildah run .*name -- .*/serve --http-address=127\.0\.0\.1 --http-port=18000 --grpc-address=127\.0\.0\.1 --grpc-port=18001.*'
}

@test "docker and podman remove the gated container by force" {
  local engine
  for engine in docker podman; do
    ENGINE="$engine"
    engine_end_gated name "$$"
    assert_called "$engine rm --force name"
  done
}

@test "buildah's gated server is ended before its container is removed" {
  ENGINE=buildah
  sleep 60 3>&- &
  engine_end_gated name "$!" 2>/dev/null || true
  assert_called 'buildah rm name'
  assert_no_processes
}

@test "a base image that the engine has is used without a pull" {
  base_image docker
  assert_success
  assert_output debian:12-slim
  assert_not_called 'docker pull .*'
}

@test "the reference of the base image is written to a file when one is named" {
  base_image docker reference
  assert_success
  assert_output ''
  assert_equal "$(<reference)" debian:12-slim
}

@test "a base image that the engine lacks is pulled" {
  no_base_image
  STUB_REGISTRY=1 base_image docker
  assert_success
  assert_output debian:12-slim
  assert_called 'docker pull debian:12-slim'
  assert_not_called 'mmdebstrap .*'
}

@test "BASE_IMAGE wins over the profile" {
  : >"$STUB_FOLDER/images/other:1"
  BASE_IMAGE=other:1 base_image docker
  assert_success
  assert_output other:1
}

@test "a BASE_IMAGE that the engine lacks is pulled" {
  BASE_IMAGE=other@sha256:0 STUB_REGISTRY=1 base_image docker
  assert_success
  assert_output other@sha256:0
  assert_called 'docker pull other@sha256:0'
}

@test "a BASE_IMAGE that cannot be pulled is an error, not replaced" {
  BASE_IMAGE=other:1 base_image docker
  assert_failure 1
  assert_output ''
  assert_regex "${stderr_lines[-1]}" '^error: other:1: cannot be pulled'
  assert_not_called 'mmdebstrap .*'
}

@test "an empty BASE_IMAGE counts as none" {
  BASE_IMAGE='' base_image docker
  assert_output debian:12-slim
}

@test "without a registry the base image is made from packages" {
  no_base_image
  base_image docker
  assert_success
  assert_regex "$output" '^triton_base:bookworm-[0-9a-f]{12}$'
  assert_called 'mmdebstrap .* bookworm .*'
  assert_equal "$(bootstrapped)" "$output"
}

@test "the packages of the profile go into the base image" {
  no_base_image
  base_image docker
  assert_called 'mmdebstrap .*--include=.*libpython3\.11.*tini.* bookworm .*'
}

@test "the tar file that was made is what gets imported" {
  no_base_image
  base_image docker
  assert_called "docker import --change .*PATH=.* $REPO/.cache/base/bookworm-[0-9a-f]{12}\.tar triton_base:bookworm-[0-9a-f]{12}"
}

@test "a base image that was made is named as local for podman" {
  no_base_image
  base_image podman
  assert_regex "$output" '^localhost/triton_base:bookworm-[0-9a-f]{12}$'
}

@test "a second call neither pulls nor makes" {
  no_base_image
  base_image docker
  rm "$STUB_FOLDER/calls"
  base_image docker
  assert_success
  assert_output "$(bootstrapped)"
  assert_not_called 'docker (pull|import) .*'
  assert_not_called 'mmdebstrap .*'
}

@test "another engine imports the tar file of the first" {
  no_base_image
  base_image docker
  base_image podman
  assert_success
  assert_called 'podman import .*'
  assert_called 'mmdebstrap .*' 1
}

@test "other packages make another base image" {
  no_base_image
  base_image docker
  printf 'BASE_PACKAGES="tini other"\n' >>"$REPO/hardware/cpu.env"
  base_image docker
  assert_called 'mmdebstrap .*' 2
  assert_equal "$(bootstrapped | wc -l)" 2
}

@test "two calls at once make one base image" {
  no_base_image
  "$REPO/utils/base_image.sh" docker "$REPO/hardware/cpu.env" first 2>/dev/null 3>&- &
  "$REPO/utils/base_image.sh" docker "$REPO/hardware/cpu.env" second 2>/dev/null 3>&- &
  wait
  assert_called 'mmdebstrap .*' 1
  assert_files_equal first second
  assert_equal "$(<first)" "$(bootstrapped)"
}

@test "a base image that cannot be made leaves no tar file" {
  no_base_image
  STUB_FAIL=mmdebstrap base_image docker
  assert_failure 1
  assert_output ''
  assert_equal "${stderr_lines[-1]}" "error: mmdebstrap: E: no packages in reach (are Debian's packages in reach?)"
  assert_equal "$(ls "$REPO/.cache/base")" lock
}

@test "a missing mmdebstrap is an error that names its package" {
  no_base_image
  hide_command mmdebstrap
  base_image docker
  assert_failure 1
  assert_regex "${stderr_lines[-1]}" '^error: mmdebstrap: not installed \(apt-get install mmdebstrap\)$'
}

@test "base_image.sh without a profile is a usage error" {
  run --separate-stderr "$REPO/utils/base_image.sh" docker
  assert_error 2 base_image.sh
}
