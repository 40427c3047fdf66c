#!/usr/bin/env bats
# utils/gate.sh: how it starts what it checks, by what the environment says of the target.

load helper

setup_file() {
  make_shared_files
  copy_scripts "$BATS_FILE_TMPDIR/repo"
}

setup() {
  enter_workplace "$BATS_TEST_TMPDIR" "$BATS_FILE_TMPDIR/repo"
  mkdir -- 'my repository'
}

teardown() {
  end_processes
}

# gate KIND ARGUMENT ...: nothing of it stays
gate() {
  run --separate-stderr "$REPO/utils/gate.sh" cls_model 'my reference.json' "$@" 3>&-
  assert_success
  assert_equal "$(ls -A -- "$TMPDIR")" ''
  assert_no_processes
}

# gate_image [ENGINE]
gate_image() {
  gate image "${1:-docker}" triton_cls:1
}

gate_repository() {
  gate repository 'my repository'
}

@test "a repository is served with the CPU's packages unless the environment says more" {
  gate_repository
  assert_called 'python embedded_server.py --hardware cpu'
  assert_called 'serve MODEL_REPOSITORY=my\\ repository .*'
  assert_not_called '.*--allow-fallback.*'
}

@test "a repository is served with the packages of its hardware where they are here" {
  HARDWARE=openvino gate_repository
  assert_called 'python embedded_server.py --hardware openvino'
  assert_not_called '.*--allow-fallback.*'
}

@test "a repository is served on the CPU where its hardware has no embedded server" {
  HARDWARE=tensorrt EMBEDDED=cpu gate_repository
  assert_called 'python embedded_server.py --hardware cpu'
  assert_called 'serve .* --allow-fallback'
}

@test "a repository is served on the CPU where this machine lacks its hardware" {
  HARDWARE=openvino LACKS='no such CPU' gate_repository
  assert_called 'python embedded_server.py --hardware openvino'
  assert_called 'serve .* --allow-fallback'
}

@test "a repository is served as one model unless the environment says more" {
  gate_repository
  SERVER=embedded gate_repository
  assert_not_called '.*--separate-steps.*'
}

@test "a repository for NVIDIA's server has its steps served apart" {
  SERVER=ngc gate_repository
  assert_called 'serve .* --separate-steps'
  assert_not_called '.*--allow-fallback.*'
}

@test "a repository for NVIDIA's server has its steps served apart on the CPU too" {
  SERVER=ngc-slim HARDWARE=tensorrt EMBEDDED=cpu gate_repository
  assert_called 'serve .* --allow-fallback --separate-steps'
}

@test "an image on NVIDIA's server is told nothing of steps" {
  SERVER=ngc gate_image
  assert_not_called '.*--separate-steps.*'
}

@test "an image is run without GPUs and without a fallback unless the environment says more" {
  gate_image
  assert_called 'docker run .* triton_cls:1'
  assert_not_called '.*(--gpus|--volume|--allow-fallback).*'
}

@test "an image for GPUs is run with all of them" {
  HARDWARE=cuda GPU=1 gate_image
  assert_called 'docker run .*--gpus all triton_cls:1'
}

@test "an image for GPUs is run with all of them by podman" {
  HARDWARE=cuda GPU=1 gate_image podman
  assert_called 'podman run .*--device nvidia.com/gpu=all triton_cls:1'
}

@test "an image for GPUs gets the folder for engines" {
  HARDWARE=tensorrt GPU=1 TENSORRT_ENGINES=/engines/here gate_image
  assert_called 'docker run .*--volume /engines/here:/engines .* triton_cls:1'
}

@test "an image whose hardware is not here is run on the CPU, without GPUs" {
  HARDWARE=tensorrt EMBEDDED=cpu GPU=1 LACKS='no NVIDIA driver' TENSORRT_ENGINES=/engines/here gate_image
  assert_called 'docker run .* triton_cls:1 --allow-fallback'
  assert_not_called '.*(--gpus|--volume).*'
}

@test "an image is not run on the CPU only because its hardware has no embedded server" {
  HARDWARE=tensorrt EMBEDDED=cpu GPU=1 gate_image
  assert_not_called '.*--allow-fallback.*'
}

@test "the model and its reference are what is compared" {
  gate_image
  assert_called 'python verify_answers.py cls_model my\\ reference.json --http 127\.0\.0\.1:[0-9]+ --grpc 127\.0\.0\.1:[0-9]+ --timeout [0-9]+'
}

@test "what to start is needed" {
  run --separate-stderr "$REPO/utils/gate.sh" cls_model reference.json image triton_cls:1
  assert_error 2 gate.sh
  assert_no_calls
}
