#!/usr/bin/env bats
# make_triton_image.sh interrupted in the middle of a step: nothing stays, nothing goes on running.

load helper

# The guard needs some seconds after a SIGKILL; the other tests run meanwhile.
setup_file() {
  make_shared_files
  STUB_HANG='convert_to_onnx.py' in_background killed_ahead conversion
  STUB_HANG='docker build' in_background killed_ahead image
  STUB_HANG='verify_answers.py #2' in_background killed_ahead answers_of_image
}

setup() {
  enter_workplace "$BATS_TEST_TMPDIR"
}

teardown() {
  end_processes
}

# start_build [COMMAND ...]: a build in the background that hangs at the stub STUB_HANG. The shell
# lets its background commands ignore SIGINT; a build at a prompt does not.
start_build() {
  env --default-signal=INT,QUIT "$@" "$REPO/make_triton_image.sh" "${INPUTS[@]}" \
    >../stdout 2>../stderr 3>&- &
  BUILD_PID=$!
  wait_until 20 test -e "$STUB_FOLDER/hanging"
}

# end_build SIGNAL [PID]: sets STATUS
end_build() {
  STATUS=0
  kill -s "$1" -- "${2:-$BUILD_PID}"
  wait "$BUILD_PID" 2>/dev/null || STATUS=$?
}

killed_ahead() (
  enter_workplace "$BATS_FILE_TMPDIR/$1"
  start_build
  end_build KILL
  printf '%s\n' "$EPOCHREALTIME" >../killed
)

assert_interrupted() {
  assert_equal "$STATUS" "$1"
  assert_equal "$(<../stdout)" ''
  assert_equal "$(tail -n 1 ../stderr)" 'error: build: interrupted'
  assert_no_image triton_ensemble_model:latest
  assert_tidy
}

is_clean() {
  [[ -z "$(ls -A -- "$REPO/build")" && "$(ls -A -- "$STUB_FOLDER/images")" == debian:12-slim ]] &&
    no_processes
}

# assert_clean_after_kill NAME: of killed_ahead
assert_clean_after_kill() {
  local folder="$BATS_FILE_TMPDIR/$1" killed now="${EPOCHREALTIME/[.,]/}"
  wait_until 20 test -s "$folder/killed"
  killed="$(<"$folder/killed")"
  export STUB_FOLDER="$folder/stubs"
  REPO="$folder/repo"
  wait_until $((6 - (now - ${killed/[.,]/}) / 1000000)) is_clean
}

@test "SIGINT while something is fetched ends the fetch and the build" {
  STUB_HANG='fetch.py' start_build
  end_build INT
  assert_interrupted 130
}

@test "SIGINT in the conversion ends it and the build" {
  STUB_HANG='convert_to_onnx.py' start_build
  end_build INT
  assert_interrupted 130
}

@test "SIGTERM in the conversion ends it and the build" {
  STUB_HANG='convert_to_onnx.py' start_build
  end_build TERM
  assert_interrupted 143
}

@test "Ctrl-C, which the whole process group gets, ends the build" {
  STUB_HANG='convert_to_onnx.py' start_build setsid
  end_build INT "-$BUILD_PID"
  assert_interrupted 130
}

@test "SIGTERM while the repository is served ends the server" {
  STUB_HANG='verify_answers.py' start_build
  wait_until 5 grep -q -x serve "$STUB_FOLDER/keys"
  end_build TERM
  assert_interrupted 143
}

@test "SIGTERM while docker builds ends docker" {
  STUB_HANG='docker build' start_build
  end_build TERM
  assert_interrupted 143
}

@test "SIGTERM while the base image is pulled ends docker" {
  rm "$STUB_FOLDER/images/debian:12-slim"
  STUB_HANG='docker pull' start_build
  end_build TERM
  assert_interrupted 143
}

@test "SIGTERM while the base image is made ends mmdebstrap" {
  rm "$STUB_FOLDER/images/debian:12-slim"
  STUB_HANG='mmdebstrap' start_build
  end_build TERM
  assert_interrupted 143
}

@test "SIGTERM while the image runs removes container and candidate" {
  STUB_HANG='verify_answers.py #2' start_build
  wait_until 5 grep -q -x 'docker run' "$STUB_FOLDER/keys"
  end_build TERM
  assert_interrupted 143
  assert_called 'docker build .*'
  assert_called 'docker rm --force triton-gate-.*'
}

@test "SIGINT at the tag removes the candidate" {
  STUB_HANG='docker tag' start_build
  end_build INT
  assert_interrupted 130
}

@test "SIGHUP ends the build and cleans up" {
  STUB_HANG='convert_to_onnx.py' start_build
  end_build HUP
  assert_equal "$(<../stdout)" ''
  assert_no_image triton_ensemble_model:latest
  assert_tidy
}

@test "SIGTERM with --keep leaves the work folder but no process" {
  INPUTS+=(--keep)
  STUB_HANG='convert_to_onnx.py' start_build
  end_build TERM
  assert_equal "$STATUS" 143
  assert_regex "$(ls "$REPO/build")" '^ensemble_model\.[A-Za-z0-9]{6}$'
  assert_no_processes
}

@test "within 6 s of SIGKILL in the conversion nothing is left" {
  assert_clean_after_kill conversion
}

@test "within 6 s of SIGKILL while the image runs nothing is left" {
  assert_clean_after_kill answers_of_image
}

@test "within 6 s of SIGKILL while docker builds nothing is left" {
  assert_clean_after_kill image
}
