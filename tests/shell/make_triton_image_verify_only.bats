#!/usr/bin/env bats
# make_triton_image.sh --verify-only: an image that was built elsewhere, on the machine that it is for.

load helper

readonly LABELS=('label org.opencontainers.image.title=cls_model' 'label triton-image.hardware=cuda'
  'label triton-image.precision=fp16' 'label triton-image.server=embedded'
  'label triton-image.triton.release=24.10')

setup_file() {
  make_shared_files
  in_background verifications
}

verifications() {
  verify_ahead verified
  STUB_TENSORRT=1 verify_ahead kept --keep
  verify_ahead dry_run --dry-run
  STUB_FAIL='verify_answers.py' verify_ahead answers
  STUB_FAIL='docker cp' verify_ahead self_test
  STUB_FAIL='docker build' verify_ahead mark
}

# verify_ahead NAME [OPTION ...]: of triton_cls:1 in a workplace of its own
verify_ahead() {
  mkdir -p -- "$BATS_FILE_TMPDIR/$1/stubs/images"
  printf '%s\n' "${LABELS[@]}" >"$BATS_FILE_TMPDIR/$1/stubs/images/triton_cls:1"
  build_from_ahead "$1" "${@:2}" --verify-only triton_cls:1
}

teardown() {
  end_processes
}

# own_image [LINE ...]: a workplace with the image triton_cls:1 of LABELS; LINE goes behind them
own_image() {
  enter_workplace "$BATS_TEST_TMPDIR"
  make_image_file triton_cls:1 "${LABELS[@]}" "$@"
}

# refuse STATUS SUBJECT [ARGUMENT ...]: no step runs, nothing is left
refuse() {
  local wanted="$1" subject="$2"
  shift 2
  run --separate-stderr make_image "$@"
  assert_error "$wanted" "$subject"
  assert_no_steps
  assert_not_exists "$REPO/build"
}

# assert_unchanged: the image is as it was
assert_unchanged() {
  assert_equal "$(<"$STUB_FOLDER/images/triton_cls:1")" "$(printf '%s\n' "${LABELS[@]}")"
}

# assert_failed VERIFICATION LINE: LINE is the error, and no other trace is left
assert_failed() {
  use_build "$1"
  assert_failure 1
  assert_output ''
  assert_equal "$(grep '^error: ' <<<"$stderr")" "error: $2"
  assert_unchanged
  assert_tidy
}

@test "the image is what is printed" {
  use_build verified
  assert_success
  assert_output triton_cls:1
}

@test "there are three steps" {
  use_build verified
  assert_equal "$(sed -E 's/ [0-9]+\.[0-9] s$/ N s/' <<<"$stderr")" "\
[1/3] take its self-test out N s
[2/3] run the image, compare answers N s
[3/3] keep what was built and checked here N s"
}

@test "nothing is fetched, converted or rendered" {
  use_build verified
  assert_equal "$(grep -o -E '^python [a-z_]+' "$STUB_FOLDER/calls" | sort -u)" \
    $'python choose_target\npython free_ports\npython verify_answers'
}

@test "the image's hardware, precision and server are the target" {
  use_build verified
  assert_called 'python choose_target.py --hardware cuda --precision fp16 --server embedded' 1
}

@test "the release of one of NVIDIA's images is part of the target" {
  own_image 'label triton-image.server=ngc' 'label triton-image.triton.release=26.07'
  run --separate-stderr make_image --dry-run --verify-only triton_cls:1
  assert_success
  assert_called 'python choose_target.py .* --server ngc:26\.07'
}

@test "the self-test is taken out of the image" {
  use_build kept
  assert_called 'docker cp stub-container:/models/selftest\.json -'
  assert_equal "$(<"${stderr##*kept: }/selftest.json")" 'stub selftest.json'
}

@test "the image's own name and self-test are what is compared" {
  use_build verified
  assert_called "python verify_answers.py cls_model $REPO/build/cls_model\.[A-Za-z0-9]{6}/selftest\.json .*"
}

@test "the image is run on its hardware, with a folder for engines" {
  use_build verified
  assert_called "docker run .* --volume $REPO/build/cls_model\.[A-Za-z0-9]{6}/engines:/engines --gpus all triton_cls:1"
  assert_not_called '.*--allow-fallback.*'
}

@test "the image is marked after its answers were compared" {
  use_build verified
  assert_equal "$(grep -x -E 'docker (build|run)|verify_answers.py' "$STUB_FOLDER/keys" | tail -n 1)" 'docker build'
  assert_file_contains "$STUB_FOLDER/images/triton_cls:1" '^label triton-image\.verified=on this hardware$'
}

@test "the image keeps its labels" {
  use_build verified
  assert_equal "$(head -n ${#LABELS[@]} "$STUB_FOLDER/images/triton_cls:1")" "$(printf '%s\n' "${LABELS[@]}")"
}

@test "engines that were built in the check are kept in the image" {
  use_build kept
  assert_exists "${stderr##*kept: }/verified/added/engines/stub.engine"
  assert_called "docker build .* ${stderr##*kept: }/verified"
}

@test "nothing stays but the image" {
  use_build verified
  assert_equal "$(ls "$STUB_FOLDER/images")" $'debian:12-slim\ntriton_cls:1'
  assert_tidy
}

@test "an argument beside the image is refused" {
  own_image
  refuse 2 model --verify-only triton_cls:1 model
  assert_equal "$stderr" 'error: model: nothing more goes with --verify-only (see --help)'
}

@test "a whole build beside the image is refused" {
  own_image
  refuse 2 "${INPUTS[0]}" "${INPUTS[@]}" --verify-only triton_cls:1
}

@test "what is no image reference is refused" {
  own_image
  refuse 2 'image a\ b' --verify-only 'a b'
}

@test "an image that the engine has not is an error" {
  own_image
  refuse 1 missing:1 --verify-only missing:1
}

@test "no engine that answers is an error" {
  own_image
  STUB_ENGINES='' refuse 1 'container engine' --verify-only triton_cls:1
}

@test "an image that is not of this project is an error" {
  own_image
  refuse 1 debian:12-slim --verify-only debian:12-slim
  assert_equal "$stderr" 'error: debian:12-slim: was not made by make_triton_image.sh'
}

@test "an image without one of the labels is an error" {
  local label
  enter_workplace "$BATS_TEST_TMPDIR"
  for label in org.opencontainers.image.title triton-image.hardware triton-image.server; do
    make_image_file triton_cls:1 "${LABELS[@]}" "label $label="
    refuse 1 triton_cls:1 --verify-only triton_cls:1
  done
}

@test "an image whose model's name leads out of the work folder is an error" {
  own_image 'label org.opencontainers.image.title=../../elsewhere'
  refuse 1 triton_cls:1 --verify-only triton_cls:1
  assert_not_exists ../elsewhere
}

@test "an image for hardware that is not here is an error that names what is missing" {
  own_image
  STUB_LACKS='no NVIDIA driver is visible' refuse 1 triton_cls:1 --verify-only triton_cls:1
  assert_equal "$stderr" 'error: triton_cls:1: cannot be verified here: no NVIDIA driver is visible'
  assert_unchanged
}

@test "an image for hardware that nobody knows ends with the error of the choice" {
  own_image 'label triton-image.hardware=nonesuch'
  refuse 2 "--hardware 'nonesuch'" --verify-only triton_cls:1
}

@test "other answers end with an error and leave the image as it was" {
  assert_failed answers 'verify_answers.py: failed as told (a hint)'
}

@test "an image without a self-test ends with an error and stays as it was" {
  assert_failed self_test 'docker cp: failed as told (a hint)'
}

@test "an image that cannot be marked ends with an error and stays as it was" {
  assert_failed mark 'docker build: failed as told (a hint)'
}

@test "SIGTERM in the check removes the container and leaves the image as it was" {
  local status=0
  own_image
  STUB_HANG='verify_answers.py' "$REPO/make_triton_image.sh" --verify-only triton_cls:1 \
    >../stdout 2>../stderr 3>&- &
  wait_until 20 test -e "$STUB_FOLDER/hanging"
  kill -TERM "$!"
  wait "$!" || status=$?
  assert_equal "$status" 143
  assert_equal "$(<../stdout)" ''
  assert_equal "$(tail -n 1 ../stderr)" 'error: build: interrupted'
  assert_called 'docker rm --force triton-gate-.*'
  assert_unchanged
  assert_tidy
}

@test "podman verifies an image where docker does not answer" {
  own_image
  STUB_ENGINES=podman run --separate-stderr make_image --quiet --verify-only triton_cls:1
  assert_success
  assert_output triton_cls:1
  assert_equal "$stderr" ''
  assert_called 'podman run .*--device nvidia.com/gpu=all triton_cls:1'
  assert_called 'podman build .*--tag triton_cls:1 .*'
}

@test "a dry run prints the three commands" {
  use_build dry_run
  assert_success
  assert_equal "$output" "\
$REPO/utils/read_image_file.sh docker triton_cls:1 /models/selftest.json $REPO/build/cls_model.XXXXXX/selftest.json
$REPO/utils/gate.sh cls_model $REPO/build/cls_model.XXXXXX/selftest.json image docker triton_cls:1
$REPO/utils/mark_verified.sh docker triton_cls:1 $REPO/build/cls_model.XXXXXX/engines $REPO/build/cls_model.XXXXXX/verified"
}

@test "a dry run starts nothing and changes nothing" {
  use_build dry_run
  assert_no_steps
  assert_unchanged
  assert_not_exists "$REPO/build"
}
