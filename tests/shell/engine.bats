#!/usr/bin/env bats
# lib/engine.sh and the scripts that do nothing else: what docker, podman and buildah are told.

load helper

setup_file() {
  make_shared_files
  copy_scripts "$BATS_FILE_TMPDIR/repo"
  export TARGETS="$BATS_FILE_TMPDIR"
  make_target cpu.env
  make_target arm64.env --platform linux/arm64
  make_target mirror.env --registry mirror.example
  make_target ngc.env --hardware tensorrt --server ngc
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

# base_image ENGINE [OUTPUT_FILE]: of the target TARGET, cpu unless it is set
base_image() {
  local engine="$1"
  shift
  run --separate-stderr "$REPO/utils/base_image.sh" "$engine" "$TARGETS/${TARGET:-cpu}.env" "$@"
}

# assert_not_replaced IMAGE: it cannot be pulled, and nothing is made in its place
assert_not_replaced() {
  base_image docker
  assert_failure 1
  assert_output ''
  assert_equal "${stderr_lines[-1]}" "error: $1: cannot be pulled"
  assert_not_called 'mmdebstrap .*'
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

# assert_inspected ENGINE CALL: CALL asks for an image; its platform may be any, this one's, no other
assert_inspected() {
  ENGINE="$1"
  engine_has_image debian:12-slim
  engine_has_image debian:12-slim linux/amd64
  run engine_has_image debian:12-slim linux/arm64
  assert_failure
  assert_called "$2 debian:12-slim" 3
}

@test "docker is asked for an image and its platform as docker wants it" {
  assert_inspected docker 'docker image inspect --format \\{\\{\.Os\\}\\}/\\{\\{\.Architecture\\}\\}'
}

@test "podman is asked for an image and its platform as podman wants it" {
  assert_inspected podman 'podman inspect --type image --format \\{\\{\.Os\\}\\}/\\{\\{\.Architecture\\}\\}'
}

@test "buildah is asked for an image and its platform as buildah wants it" {
  assert_inspected buildah 'buildah inspect --type image --format \\{\\{\.OCIv1\.OS\\}\\}/\\{\\{\.OCIv1\.Architecture\\}\\}'
}

@test "an image that the engine lacks is not there" {
  for ENGINE in docker podman buildah; do
    run engine_has_image missing:1
    assert_failure
    assert_output ''
  done
}

@test "an image of another platform is not one of this machine" {
  make_image_file debian:12-slim platform=linux/arm64
  for ENGINE in docker podman buildah; do
    run engine_has_image debian:12-slim linux/amd64
    assert_failure
  done
}

@test "a label is read with each engine" {
  make_image_file triton_cls:1 'label a.key=some words' 'label b.key=other'
  for ENGINE in docker podman buildah; do
    run engine_label triton_cls:1 a.key
    assert_success
    assert_output 'some words'
  done
}

@test "a label that an image lacks is empty" {
  for ENGINE in docker podman buildah; do
    run engine_label debian:12-slim a.key
    assert_success
    assert_output ''
  done
}

@test "the digest of an image is the registry's" {
  make_image_file debian:12-slim digest=docker.io/library/debian@sha256:0123
  for ENGINE in docker podman; do
    run engine_digest debian:12-slim
    assert_output sha256:0123
  done
}

@test "an image that came from no registry has no digest" {
  make_image_file triton_base:1 digest=localhost/triton_base@sha256:0123
  for ENGINE in docker podman buildah; do
    run engine_digest triton_base:1
    assert_success
    assert_output ''
    run engine_digest debian:12-slim
    assert_success
    assert_output ''
  done
}

@test "docker and podman read a file of an image without running it" {
  for ENGINE in docker podman; do
    run engine_read_file triton_cls:1 /models/selftest.json
    assert_output 'stub selftest.json'
    assert_called "$ENGINE create --pull never triton_cls:1"
    assert_called "$ENGINE cp stub-container:/models/selftest\.json -"
    assert_called "$ENGINE rm stub-container"
    assert_not_called "$ENGINE run .*"
  done
}

@test "several files of an image are read one behind the other" {
  for ENGINE in docker podman buildah; do
    run engine_read_file triton_cls:1 /usr/lib/os-release /var/lib/dpkg/status
    assert_output $'stub os-release\nstub status'
  done
}

@test "buildah reads a file of an image and removes its container" {
  ENGINE=buildah
  run engine_read_file triton_cls:1 /models/selftest.json
  assert_output 'stub selftest.json'
  assert_called 'buildah from --pull-never triton_cls:1'
  assert_called 'buildah run --isolation chroot stub-container -- cat /models/selftest\.json'
  assert_called 'buildah rm stub-container'
}

@test "a file that an image lacks is an error with each engine, and leaves no container" {
  local engine key
  for engine in docker podman buildah; do
    key="$engine cp"
    [[ "$engine" != buildah ]] || key='buildah run cat'
    STUB_FAIL="$key" run --separate-stderr "$REPO/utils/read_image_file.sh" "$engine" triton_cls:1 /file read
    assert_failure 1
    assert_equal "${stderr_lines[-1]}" 'error: triton_cls:1: has no /file (it was built by an older version)'
    assert_called "$engine rm stub-container"
  done
}

@test "a file of an image is written where it is wanted" {
  run --separate-stderr "$REPO/utils/read_image_file.sh" docker triton_cls:1 /models/selftest.json 'my file'
  assert_success
  assert_output ''
  assert_equal "$(<'my file')" 'stub selftest.json'
}

@test "the container of a read is removed when that is ended" {
  local engine key
  for engine in docker buildah; do
    key="$engine cp"
    [[ "$engine" != buildah ]] || key='buildah run cat'
    STUB_HANG="$key" setsid "$REPO/utils/read_image_file.sh" "$engine" triton_cls:1 /file read 2>/dev/null 3>&- &
    wait_until 10 test -e "$STUB_FOLDER/hanging"
    kill -TERM -- "-$!"
    wait "$!" || true
    # The container is a process's own affair, which outlives the command for a moment.
    wait_until 10 grep -q -x "$engine rm stub-container" "$STUB_FOLDER/calls"
    assert_no_processes
    rm -- "$STUB_FOLDER/hanging"
  done
}

# assert_pulled PLATFORM OPTIONS: with each engine
assert_pulled() {
  for ENGINE in docker podman buildah; do
    STUB_REGISTRY=1 run engine_pull other:1 "$1"
    assert_success
    assert_called "$ENGINE pull ${2}other:1"
  done
}

@test "this machine's platform is not given to a pull" {
  assert_pulled linux/amd64 ''
}

@test "another platform is given to a pull" {
  assert_pulled linux/arm64 '--platform linux/arm64 '
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

# run_gated ENGINE GPU [SERVE_OPTION ...]
run_gated() {
  ENGINE="$1"
  run engine_run_gated name triton_cls:1 18000 18001 "${@:2}"
  assert_success
}

readonly PORTS='--publish 127\.0\.0\.1:18000:8000 --publish 127\.0\.0\.1:18001:8001 --env GRPC=on'

@test "docker runs the gated image on the loopback address and removes it" {
  run_gated docker 0
  assert_called "docker run --rm --name name $PORTS triton_cls:1"
}

@test "podman runs the gated image on the loopback address and removes it" {
  run_gated podman 0
  assert_called "podman run --rm --name name --no-healthcheck --ulimit nofile=1000:1000 --ulimit nproc=1000:1000 $PORTS triton_cls:1"
}

@test "buildah runs the gated image's server on the loopback address" {
  run_gated buildah 0
  assert_called 'buildah from --name name --pull-never triton_cls:1'
  assert_called 'buildah run .*name -- .*/serve --http-address=127\.0\.0\.1 --http-port=18000 --grpc-address=127\.0\.0\.1 --grpc-port=18001 --allow-metrics=false'
}

@test "docker and podman open gRPC, whose answers are compared too, and leave the front on" {
  local engine
  for engine in docker podman; do
    run_gated "$engine" 0
    assert_called "$engine run .* --env GRPC=on triton_cls:1"
    assert_not_called "$engine run .*FRONT=.*"
  done
}

@test "buildah, which publishes no ports, runs the gated image's server without its front" {
  run_gated buildah 0
  assert_called 'buildah run --isolation chroot --env FRONT=off name -- .*'
  assert_not_called 'buildah run .*GRPC=.*'
}

@test "each engine passes the server's options on behind the image" {
  local engine
  for engine in docker podman buildah; do
    run_gated "$engine" 0 --allow-fallback
    assert_called "$engine run .*(triton_cls:1|--allow-metrics=false) --allow-fallback"
  done
}

@test "docker gives all GPUs to a container that needs them" {
  run_gated docker 1
  assert_called "docker run --rm --name name $PORTS --gpus all triton_cls:1"
}

@test "podman gives all GPUs to a container that needs them" {
  run_gated podman 1
  assert_called "podman run .* $PORTS --device nvidia.com/gpu=all triton_cls:1"
}

@test "a container with GPUs gets the folder for engines" {
  TENSORRT_ENGINES='/my engines' run_gated docker 1
  assert_called 'docker run .* --volume /my\\ engines:/engines --gpus all triton_cls:1'
}

@test "a container without GPUs gets no folder for engines" {
  TENSORRT_ENGINES=/engines run_gated docker 0
  assert_not_called 'docker run .*--volume.*'
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

@test "BASE_IMAGE wins over the target" {
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

@test "the packages of the server go into the base image" {
  no_base_image
  base_image docker
  assert_called 'mmdebstrap .*--include=.*libpython3\.11.*tini.* bookworm .*'
}

@test "the base image is built of the tar file that was made" {
  local folder
  no_base_image
  base_image docker
  folder="$REPO/.cache/base/${output#*:}"
  assert_equal "$(<"$folder/base.tar")" 'stub tar'
  assert_called "docker build .*--tag $output --file $REPO/server/base/Dockerfile $folder"
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
  assert_not_called 'docker (pull|build) .*'
  assert_not_called 'mmdebstrap .*'
}

@test "another engine takes the tar file of the first" {
  no_base_image
  base_image docker
  base_image podman
  assert_success
  assert_called 'podman build .*'
  assert_called 'mmdebstrap .*' 1
}

@test "other packages make another base image" {
  no_base_image
  base_image docker
  sed 's/tini/tini\\ other/' "$TARGETS/cpu.env" >other.env
  TARGETS="$PWD" TARGET=other base_image docker
  assert_called 'mmdebstrap .*tini\\ other.*' 1
  assert_equal "$(bootstrapped | wc -l)" 2
}

@test "two calls at once make one base image" {
  no_base_image
  "$REPO/utils/base_image.sh" docker "$TARGETS/cpu.env" first 2>/dev/null 3>&- &
  "$REPO/utils/base_image.sh" docker "$TARGETS/cpu.env" second 2>/dev/null 3>&- &
  wait
  assert_called 'mmdebstrap .*' 1
  assert_files_equal first second
  assert_equal "$(<first)" "$(bootstrapped)"
}

@test "a base image of another platform is pulled though this machine's is there" {
  TARGET=arm64 STUB_REGISTRY=1 base_image docker
  assert_success
  assert_output debian:12-slim
  assert_called 'docker pull --platform linux/arm64 debian:12-slim'
}

@test "a base image of this machine is pulled though another platform's is there" {
  make_image_file debian:12-slim platform=linux/arm64
  STUB_REGISTRY=1 base_image docker
  assert_success
  assert_called 'docker pull debian:12-slim'
}

@test "a base image of another platform is made and built for it" {
  no_base_image
  TARGET=arm64 base_image docker
  assert_success
  assert_called 'mmdebstrap .*--architectures=arm64 .*'
  assert_called "docker build .*--tag $output .*--platform linux/arm64 .*"
}

@test "a base image of a platform whose programs do not run here is an error" {
  no_base_image
  TARGET=arm64 STUB_EMULATED=amd64 base_image docker
  assert_failure 1
  assert_regex "${stderr_lines[-1]}" '^error: base image for arm64: this machine cannot run its programs \(.*qemu-user-static.*\)$'
  assert_not_called 'mmdebstrap .*'
}

@test "base images of two platforms are two" {
  no_base_image
  base_image docker
  TARGET=arm64 base_image docker
  assert_equal "$(bootstrapped | wc -l)" 2
}

@test "a base image from the user's registry is pulled from there" {
  TARGET=mirror STUB_REGISTRY=1 base_image docker
  assert_output mirror.example/library/debian:12-slim
  assert_called 'docker pull mirror\.example/library/debian:12-slim'
}

@test "a base image that the user's registry has not is an error, not replaced" {
  TARGET=mirror assert_not_replaced mirror.example/library/debian:12-slim
}

@test "one of NVIDIA's images that cannot be pulled is an error, not replaced" {
  TARGET=ngc assert_not_replaced nvcr.io/nvidia/tritonserver:26.08-py3
}

@test "a base image that cannot be made leaves no tar file" {
  no_base_image
  STUB_FAIL=mmdebstrap base_image docker
  assert_failure 1
  assert_output ''
  assert_equal "${stderr_lines[-1]}" "error: mmdebstrap: E: no packages in reach (are Debian's packages in reach?)"
  assert_equal "$(find "$REPO/.cache/base" -type f)" "$REPO/.cache/base/lock"
}

@test "a missing mmdebstrap is an error that names its package" {
  no_base_image
  hide_command mmdebstrap
  base_image docker
  assert_failure 1
  assert_regex "${stderr_lines[-1]}" '^error: mmdebstrap: not installed \(apt-get install mmdebstrap\)$'
}

@test "base_image.sh without a target is a usage error" {
  run --separate-stderr "$REPO/utils/base_image.sh" docker
  assert_error 2 base_image.sh
}
