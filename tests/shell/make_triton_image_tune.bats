#!/usr/bin/env bats
# make_triton_image.sh --tune: what it refuses, where the step stands, and what it is told.

load helper

readonly TABLE=$'| stub settings | 2.0, 1.0 |\nchosen: stub settings'

setup_file() {
  make_shared_files
  export SAMPLES="$BATS_FILE_TMPDIR/my samples.txt"
  printf 'a text\n' >"$SAMPLES"
  in_background builds
}

builds() {
  build_ahead tuned --tune --samples "$SAMPLES" --latency-budget-ms 12.5 --tune-budget-s 90 --output kept
  build_ahead plain --no-image
  build_ahead 'quiet one' --tune --no-image --quiet
  STUB_FAIL='tune.py' build_ahead failed --tune
}

teardown() {
  end_processes
}

# refuse SUBJECT [ARGUMENT ...]: before anything is asked or written
refuse() {
  local subject="$1"
  shift
  enter_workplace "$BATS_TEST_TMPDIR/$BATS_SUITE_TEST_NUMBER$RANDOM"
  run --separate-stderr make_image "$@" "${INPUTS[@]}"
  assert_error 2 "$subject"
  assert_no_calls
  assert_not_exists "$REPO/build"
}

# refuse_target ERROR [ARGUMENT ...]: when it is known what the image is for
refuse_target() {
  local error="$1"
  shift
  enter_workplace "$BATS_TEST_TMPDIR"
  run --separate-stderr make_image "$@" "${INPUTS[@]}"
  assert_error 2 --tune
  assert_equal "$stderr" "error: --tune: $error"
  assert_no_steps
  assert_not_exists "$REPO/build"
}

@test "a build that is tuned succeeds and is one step more, between lint and gate" {
  use_build tuned
  assert_success
  assert_output triton_ensemble_model:latest
  assert_regex "$stderr" $'\n''\[9/19\] lint the repository [0-9.]+ s'$'\n''\[10/19\] tune it on this machine [0-9.]+ s'$'\n'
  assert_regex "$stderr" $'\n''\[11/19\] serve it, compare answers '
}

@test "the gate starts its server behind the tuning" {
  use_build tuned
  run grep -n -x -E 'lint_repository.py|tune.py|serve' "$STUB_FOLDER/keys"
  assert_equal "$(cut -d: -f2 <<<"$output")" $'lint_repository.py\ntune.py\nserve'
}

@test "what was measured is shown behind the line of the step" {
  use_build tuned
  assert_regex "$stderr" 'tune it on this machine [0-9.]+ s'$'\n'"${TABLE//|/\\|}"$'\n''\[11/19\] '
}

@test "with --quiet what was measured is not shown" {
  use_build 'quiet one'
  assert_success
  assert_equal "$stderr" ''
  assert_called 'python tune.py .*' 1
}

@test "the tuning gets the user's texts and both budgets, their values unchanged" {
  use_build tuned
  arguments_of tune.py
  assert_argument --samples "$SAMPLES"
  assert_argument --latency-budget-ms 12.5
  assert_argument --budget-s 90
}

@test "the tuning gets the rendered repository" {
  use_build tuned
  arguments_of tune.py
  assert_regex "${ARGUMENTS[-1]}" "^$REPO/build/ensemble_model\.[A-Za-z0-9]{6}/context/models/models\$"
}

@test "without them the tuning gets neither texts nor budgets" {
  use_build 'quiet one'
  arguments_of tune.py
  refute_argument --samples
  refute_argument --latency-budget-ms
  refute_argument --budget-s
}

@test "the repository that is kept is the tuned one" {
  use_build tuned
  assert_file_contains kept/report.json '^stub tuning$'
}

@test "without --tune nothing is tuned" {
  use_build plain
  assert_success
  assert_not_called 'python tune.py.*'
}

@test "a tuning that fails ends the build with its own line and leaves nothing" {
  use_build failed
  assert_failure 1
  assert_output ''
  assert_regex "$stderr" 'error: tune.py: failed as told \(a hint\)$'
  assert_not_called 'python verify_answers.py.*'
  assert_no_image triton_ensemble_model:latest
  assert_tidy
}

@test "a dry run prints the tuning between lint and gate" {
  local work
  enter_workplace "$BATS_TEST_TMPDIR"
  run --separate-stderr make_image --dry-run --no-image --tune --tune-budget-s 60 "${INPUTS[@]}"
  assert_success
  work="$REPO/build/ensemble_model.XXXXXX"
  assert_equal "${#lines[@]}" 11
  assert_line --index 8 --partial lint_repository.py
  assert_line --index 9 "$PYTHON $REPO/utils/tune.py --table $work/details --progress $work/progress --plot $work/tuning.png --budget-s 60 $work/context/models/models"
  assert_line --index 10 --partial gate.sh
}

@test "options of the tuning alone are refused" {
  refuse --latency-budget-ms --latency-budget-ms 5
  assert_equal "$stderr" 'error: --latency-budget-ms: goes with --tune (see --help)'
  refuse --tune-budget-s --tune-budget-s 5
  assert_equal "$stderr" 'error: --tune-budget-s: goes with --tune (see --help)'
}

@test "options of the tuning without a value are refused" {
  local option
  for option in --latency-budget-ms --tune-budget-s; do
    refuse "$option" --tune "$option" ''
    assert_equal "$stderr" "error: $option: needs a value (see --help)"
  done
}

@test "latency budgets that are no number over 0 are refused" {
  local value
  # shellcheck disable=SC2016
  for value in 0 0.0 0.000 -1 1e3 5ms nan .0 . 1.2.3 '$(touch canary)'; do
    refuse --latency-budget-ms --tune --latency-budget-ms "$value"
    assert_equal "$stderr" "error: --latency-budget-ms: must be a number over 0, not $(printf '%q' "$value") (see --help)"
  done
  assert_not_exists canary
}

@test "latency budgets over 0 are taken" {
  local value
  enter_workplace "$BATS_TEST_TMPDIR"
  for value in 1 50 0.5 .25 12.125 100000 00.1 0.10; do
    run --separate-stderr make_image --dry-run --no-image --tune --latency-budget-ms "$value" "${INPUTS[@]}"
    assert_success
    assert_line --index 9 --partial " --latency-budget-ms $value "
  done
}

@test "seconds that are no whole number from 1 to 99999 are refused" {
  local value
  for value in 0 -5 1.5 100000 1m 05; do
    refuse --tune-budget-s --tune --tune-budget-s "$value"
    assert_equal "$stderr" "error: --tune-budget-s: must be a number from 1 to 99999, not $value (see --help)"
  done
}

@test "what NVIDIA's server does best cannot be measured on ours, and is refused" {
  refuse_target 'not with --server ngc, which is not measured here (docs/tuning.md)' --tune --server ngc
}

@test "another platform cannot be measured here, and is refused" {
  refuse_target 'cannot be measured here, this machine is linux/amd64 (tune where it will run)' \
    --tune --platform linux/arm64
}

@test "hardware that is not there cannot be measured, and is refused" {
  STUB_LACKS='no GPU here' refuse_target 'cannot be measured here, no GPU here (tune where it will run)' \
    --tune --hardware cuda
}

@test "a dry run refuses it too" {
  refuse_target 'not with --server ngc-slim, which is not measured here (docs/tuning.md)' \
    --tune --dry-run --server ngc-slim
}

@test "an image that is only verified is not tuned" {
  local options
  for options in '--tune' '--tune --latency-budget-ms 5' '--tune-budget-s 5'; do
    enter_workplace "$BATS_TEST_TMPDIR/${options// /}"
    # shellcheck disable=SC2086
    run --separate-stderr make_image $options --verify-only triton_cls:1
    assert_error 2 --verify-only
    assert_no_calls
  done
}
