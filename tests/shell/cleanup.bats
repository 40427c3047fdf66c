#!/usr/bin/env bats
# cleanup.sh in a copy of all sources: outputs go, sources stay.

load helper

setup_file() {
  export PRISTINE="$BATS_FILE_TMPDIR/sources"
  mkdir -- "$PRISTINE"
  cd -- "$SOURCE_ROOT" || return
  find . -mindepth 1 -maxdepth 1 ! -name .git ! -name build ! -name .cache ! -name '.venv*' \
    ! -name '.*_cache' ! -name .hypothesis ! -name node_modules -exec cp -R -- {} "$PRISTINE/" \;
}

setup() {
  REPO="$BATS_TEST_TMPDIR/repo"
  cp -R -- "$PRISTINE" "$REPO"
  cd -- "$REPO" || return
  CACHES=(.cache .mypy_cache .ruff_cache .pytest_cache .hypothesis)
  ENVIRONMENTS=(.venv .venv-optimum)
  local folder folders=(build "${CACHES[@]}" "${ENVIRONMENTS[@]}")
  mkdir -p -- "${folders[@]/%//deep}"
  for folder in "${folders[@]}"; do
    : >"$folder/deep/file"
  done
}

# assert_sources_stay [OPTION ...]
assert_sources_stay() {
  cleanup "$@"
  assert_success
  # All that is left of the outputs is what these options do not remove.
  rm -rf -- "${CACHES[@]/#/$REPO/}" "${ENVIRONMENTS[@]/#/$REPO/}"
  run diff --recursive --no-dereference "$PRISTINE" "$REPO"
  assert_success
  assert_output ''
}

cleanup() {
  run --separate-stderr "$REPO/cleanup.sh" "$@"
}

assert_there() {
  local folder
  for folder in "$@"; do
    assert_exists "$REPO/$folder/deep/file"
  done
}

assert_gone() {
  local folder
  for folder in "$@"; do
    assert_not_exists "$REPO/$folder"
  done
}

@test "build/ is removed" {
  cleanup
  assert_success
  assert_gone build
}

@test "nothing is printed" {
  cleanup
  assert_output ''
  assert_equal "$stderr" ''
}

@test "without options caches and environments stay" {
  cleanup
  assert_there "${CACHES[@]}" "${ENVIRONMENTS[@]}"
}

@test "--cache removes build/ and the caches" {
  cleanup --cache
  assert_success
  assert_gone build "${CACHES[@]}"
}

@test "--cache leaves the environments" {
  cleanup --cache
  assert_there "${ENVIRONMENTS[@]}"
}

@test "--all removes build/, the caches and the environments" {
  cleanup --all
  assert_success
  assert_gone build "${CACHES[@]}" "${ENVIRONMENTS[@]}"
}

@test "sources stay as they are" {
  assert_sources_stay
}

@test "sources stay as they are with --cache" {
  assert_sources_stay --cache
}

@test "sources stay as they are with --all" {
  assert_sources_stay --all
}

@test "a second call has nothing to do and succeeds" {
  cleanup --all
  cleanup --all
  assert_success
}

@test "the folder that it is called from does not matter" {
  mkdir -p "$BATS_TEST_TMPDIR/elsewhere/build"
  cd "$BATS_TEST_TMPDIR/elsewhere"
  cleanup
  assert_gone build
  assert_exists build
}

@test "a build/ that is a link is removed, not what it leads to" {
  cd "$BATS_TEST_TMPDIR"
  mkdir elsewhere
  : >elsewhere/file
  rm -r "$REPO/build"
  ln -s "$PWD/elsewhere" "$REPO/build"
  cleanup
  assert_gone build
  assert_exists elsewhere/file
}

@test "an unknown option is a usage error and removes nothing" {
  cleanup --everything
  assert_error 2 --everything
  assert_there build "${CACHES[@]}" "${ENVIRONMENTS[@]}"
}

@test "an unknown option behind a known one removes nothing" {
  cleanup --all --everything
  assert_error 2 --everything
  assert_there build "${CACHES[@]}" "${ENVIRONMENTS[@]}"
}

@test "an argument is a usage error and removes nothing" {
  cleanup build
  assert_error 2 build
  assert_there build
}

@test "--help prints the usage and removes nothing" {
  cleanup --help
  assert_success
  assert_line --index 0 --partial 'Usage: cleanup.sh'
  assert_there build
}
