#!/usr/bin/env bats
# utils/build_image.sh and utils/mark_verified.sh: what an image build is told.

load helper

setup_file() {
  make_shared_files
  copy_scripts "$BATS_FILE_TMPDIR/repo"
  make_target cpu.env
  make_target arm64.env --platform linux/arm64
  make_target cuda.env --hardware cuda
  make_target ngc.env --server ngc
  make_target slim.env --hardware tensorrt --server ngc-slim
}

setup() {
  enter_workplace "$BATS_TEST_TMPDIR" "$BATS_FILE_TMPDIR/repo"
  mkdir -- 'my context' engines
  printf 'a.key=one\nb.key=two words\n' >labels
  printf 'debian:12-slim\n' >base
}

# build [TARGET [ENGINE]]
build() {
  run --separate-stderr "$REPO/utils/build_image.sh" "${2:-docker}" "$BATS_FILE_TMPDIR/${1:-cpu}.env" \
    base labels 'my context' triton_cls:1
}

# mark_verified: the image triton_cls:1
mark_verified() {
  run --separate-stderr "$REPO/utils/mark_verified.sh" docker triton_cls:1 engines verified
}

@test "an image is built by the Dockerfile of the target's server" {
  build ngc
  assert_success
  assert_called "docker build --tag triton_cls:1 --file $BATS_FILE_TMPDIR/repo/server/ngc/Dockerfile .* my\\\\ context"
}

@test "an image is built on the base image" {
  build
  assert_called 'docker build .*--build-arg BASE_IMAGE=debian:12-slim .*'
}

@test "the base image is what the file says, not what the environment does" {
  BASE_IMAGE=other:1 build
  assert_called 'docker build .*--build-arg BASE_IMAGE=debian:12-slim .*'
  assert_not_called '.*other:1.*'
}

@test "the packages of the server reach the build as one argument" {
  build
  assert_called 'docker build .*--build-arg BASE_PACKAGES=libpython3\.11\\ .*tini\\ zlib1g .*'
}

@test "a server without packages of ours gets none" {
  build ngc
  assert_not_called '.*BASE_PACKAGES.*'
}

@test "the base and the providers of an image of parts reach the build" {
  build slim
  assert_success
  assert_called 'docker build .*--build-arg SLIM_BASE=ubuntu:24\.04 --build-arg PROVIDERS=cuda\\ tensorrt .*'
}

@test "SLIM_BASE_IMAGE names another base of an image of parts" {
  SLIM_BASE_IMAGE=mine:1 build slim
  assert_called 'docker build .*--build-arg SLIM_BASE=mine:1 .*'
  assert_not_called '.*ubuntu:24.*'
}

@test "an image that is not of parts gets no base and no providers of them" {
  build
  assert_success
  assert_not_called '.*(SLIM_BASE|PROVIDERS).*'
}

@test "an image for a CPU asks for no GPUs" {
  build
  assert_called 'docker build .*--build-arg GPUS=void .*'
}

@test "an image for GPUs asks for all" {
  build cuda
  assert_called 'docker build .*--build-arg GPUS=all .*'
}

@test "each line of the labels is a label" {
  build
  assert_called 'docker build .*--label a\.key=one --label b\.key=two\\ words .*'
}

@test "the base image's name is a label" {
  build
  assert_called 'docker build .*--label org\.opencontainers\.image\.base\.name=debian:12-slim .*'
}

@test "the base image's digest is a label" {
  make_image_file debian:12-slim digest=debian@sha256:0123
  build
  assert_called 'docker build .*--label org\.opencontainers\.image\.base\.digest=sha256:0123 .*'
}

@test "a base image without a digest gives no label of one" {
  build
  assert_success
  assert_not_called 'docker build .*base\.digest.*'
}

@test "proxies of the environment reach the build without their values" {
  http_proxy='http://user:secret@proxy.example:3128' NO_PROXY=localhost build
  assert_called 'docker build .*--build-arg http_proxy --build-arg NO_PROXY .*'
  assert_not_called '.*(secret|localhost).*'
}

@test "each proxy variable that Dockerfiles may use undeclared reaches the build" {
  local name
  for name in {http,https,no}_proxy {HTTP,HTTPS,NO}_PROXY; do
    (export "$name=x" && build)
    assert_called "docker build .*--build-arg $name .*" 1
  done
}

@test "a proxy variable that is empty or absent does not reach the build" {
  https_proxy='' build
  assert_not_called 'docker build .*(proxy|PROXY).*'
}

@test "another platform is given to the build, by each engine" {
  local engine
  for engine in docker podman buildah; do
    build arm64 "$engine"
    assert_success
    assert_called "$engine build .*--platform linux/arm64 .*"
  done
}

@test "this machine's platform is not given to the build" {
  local engine
  for engine in docker podman buildah; do
    build cpu "$engine"
    assert_success
  done
  assert_not_called '.*--platform.*'
}

@test "the context has a folder for certificates" {
  build
  assert_equal "$(ls 'my context')" certificates
}

@test "files of the context have one date and no traces of the umask" {
  umask 077
  mkdir -p -- 'my context/models/models'
  printf 'a\n' >'my context/models/models/a'
  printf 'b\n' >'my context/models/models/b'
  chmod 700 'my context/models/models/b'
  build
  assert_success
  assert_equal "$(cd 'my context' && find . -printf '%p %m %Ts\n' | sort)" "\
. 755 0
./certificates 755 0
./models 755 0
./models/models 755 0
./models/models/a 644 0
./models/models/b 755 0"
  assert_not_called '.*SOURCE_DATE_EPOCH.*'
}

@test "SOURCE_DATE_EPOCH is the date of the files, and with each engine the image's" {
  local engine
  for engine in docker podman buildah; do
    SOURCE_DATE_EPOCH=86400 build cpu "$engine"
    assert_success
    assert_called "$engine build .*--build-arg SOURCE_DATE_EPOCH .*"
  done
  assert_equal "$(stat --format %Y 'my context')" 86400
  assert_not_called 'docker build .*--timestamp.*'
  assert_called '(podman|buildah) build .*--timestamp 86400 .*' 2
}

@test "a build that fails is a failure and prints nothing on stdout" {
  STUB_FAIL='docker build' build
  assert_failure
  assert_output ''
}

@test "build_image.sh with five arguments is a usage error" {
  run --separate-stderr "$REPO/utils/build_image.sh" docker 2 3 4 5
  assert_error 2 build_image.sh
  assert_no_calls
}

@test "an image is marked as verified on itself, under its own name" {
  make_image_file triton_cls:1 'label a.key=one' 'label triton-image.verified=not verified on target'
  mark_verified
  assert_success
  assert_called "docker build --tag triton_cls:1 --file $REPO/server/added/Dockerfile --build-arg BASE_IMAGE=triton_cls:1 --label triton-image\.verified=on\\\\ this\\\\ hardware verified"
  assert_equal "$(grep -c . "$STUB_FOLDER/images/triton_cls:1")" 3
}

@test "engines that were built go into the image, for everybody to add to" {
  umask 077
  printf 'mine\n' >engines/model.engine
  mark_verified
  assert_success
  assert_equal "$(<verified/added/engines/model.engine)" mine
  assert_equal "$(stat --format %A verified/added/engines verified/added/engines/*)" $'drwxrwxrwx\n-rw-rw-rw-'
}

@test "without engines an image is marked and gets no files" {
  mark_verified
  assert_success
  assert_equal "$(find verified -mindepth 1)" verified/added
}

@test "an image that cannot be marked is a failure" {
  STUB_FAIL='docker build' mark_verified
  assert_failure
}

@test "mark_verified.sh with three arguments is a usage error" {
  run --separate-stderr "$REPO/utils/mark_verified.sh" docker 2 3
  assert_error 2 mark_verified.sh
  assert_no_calls
}

@test "each script prints its usage on --help" {
  local script
  for script in build_image add_bill_of_materials mark_verified read_image_file base_image gate; do
    run --separate-stderr "$REPO/utils/$script.sh" --help
    assert_success
    assert_line --index 0 --regexp "^Usage: $script\.sh "
  done
}
