#!/usr/bin/env bats
# lib/step.sh: what a step shows of what its command has to tell.

load helper

setup() {
  export WORK="$BATS_TEST_TMPDIR" LOG_FILE="$BATS_TEST_TMPDIR/log" DRY_RUN=0 QUIET=0
  # shellcheck source=lib/log.sh
  source "$SOURCE_ROOT/lib/log.sh"
  # shellcheck source=lib/step.sh
  source "$SOURCE_ROOT/lib/step.sh"
  # shellcheck disable=SC2034
  STEP_COUNT=2
}

# telling STATUS: a step whose command has something to tell and ends with STATUS
telling() {
  # shellcheck disable=SC2016
  step 'tell it' bash -c 'printf "one\ntwo words\n" >"$WORK/details"; echo on stdout; echo "error: it: failed" >&2; exit "$1"' bash "$1"
}

# Of two steps the first has something to tell, the second fails.
told_and_failed() {
  telling 0
  step 'fail' bash -c 'echo "error: other: failed" >&2; exit 1'
}

# shown: stderr with the seconds taken out
shown() {
  # shellcheck disable=SC2154
  sed -E 's/ [0-9]+\.[0-9] s$/ N s/' <<<"$stderr"
}

@test "what a step tells is shown behind its line" {
  run --separate-stderr telling 0
  assert_success
  assert_equal "$(shown)" $'[1/2] tell it N s\none\ntwo words'
}

@test "what a step tells is not shown on stdout" {
  run --separate-stderr telling 0
  assert_output ''
}

@test "what a failed step tells is shown before its error" {
  run --separate-stderr telling 3
  assert_failure 1
  assert_equal "$stderr" $'one\ntwo words\nerror: it: failed'
}

@test "with --quiet what a step tells is not shown" {
  QUIET=1 run --separate-stderr telling 0
  assert_success
  assert_equal "$stderr" ''
}

@test "with --quiet what a failed step tells is shown" {
  QUIET=1 run --separate-stderr telling 3
  assert_failure 1
  assert_equal "$stderr" $'one\ntwo words\nerror: it: failed'
}

@test "what a step tells is shown once, not with the next one too" {
  run --separate-stderr told_and_failed
  assert_failure 1
  assert_equal "$(shown)" $'[1/2] tell it N s\none\ntwo words\nerror: other: failed'
}

@test "with --quiet a failed step does not show what the one before told" {
  QUIET=1 run --separate-stderr told_and_failed
  assert_failure 1
  assert_equal "$stderr" 'error: other: failed'
}

@test "a step with nothing to tell shows its line only" {
  run --separate-stderr step 'say nothing' true
  assert_equal "$(shown)" '[1/2] say nothing N s'
}

@test "a dry run prints a command and tells nothing" {
  DRY_RUN=1 run --separate-stderr step 'tell it' touch "$WORK/my file"
  assert_output "touch $WORK/my\\ file"
  assert_equal "$stderr" ''
  assert_not_exists "$WORK/my file"
}
