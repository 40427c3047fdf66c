#!/usr/bin/env bats
# What make_triton_image.sh finds missing before it writes or starts anything.

load helper

setup_file() {
  make_shared_files
}

setup() {
  enter_workplace "$BATS_TEST_TMPDIR"
}

# refuse SUBJECT [ARGUMENT ...]: nothing was built and no work folder stays
refuse() {
  local subject="$1"
  shift
  run --separate-stderr make_image "$@"
  assert_error 1 "$subject"
  assert_no_steps
  assert_not_exists "$REPO/build"
}

@test "a model folder that is not there is an error" {
  refuse missing missing "${INPUTS[1]}" "${INPUTS[2]}"
}

@test "a model that is a file is an error" {
  refuse "${INPUTS[2]}" "${INPUTS[2]}" "${INPUTS[1]}" "${INPUTS[2]}"
}

@test "a tokenizer folder that is not there is an error" {
  refuse missing "${INPUTS[0]}" missing "${INPUTS[2]}"
}

@test "a label file that is not there is an error" {
  refuse missing.json "${INPUTS[0]}" "${INPUTS[1]}" missing.json
}

@test "a label file that is a folder is an error" {
  refuse "${INPUTS[0]}" "${INPUTS[0]}" "${INPUTS[1]}" "${INPUTS[0]}"
}

@test "a samples file that is not there is told with its option" {
  refuse missing.txt --samples missing.txt "${INPUTS[@]}"
  assert_equal "$stderr" 'error: missing.txt: no such file (--samples takes a file of texts)'
}

@test "a file whose name is not UTF-8 is taken" {
  local name=$'caf\xe9.txt'
  touch "$name"
  LC_ALL=C.UTF-8 run --separate-stderr make_image --dry-run --no-image --samples "$name" "${INPUTS[@]}"
  assert_success
  assert_equal "$stderr" ''
}

@test "a labelled file that is not there is told with its option" {
  refuse missing.csv --labelled missing.csv "${INPUTS[@]}"
  assert_equal "$stderr" 'error: missing.csv: no such file (--labelled takes a file of texts)'
}

@test "a labelled file that is a folder is an error" {
  refuse "${INPUTS[0]}" --labelled "${INPUTS[0]}" "${INPUTS[@]}"
}

@test "a labelled file that is not there is an error in a dry run too" {
  refuse missing.csv --dry-run --labelled missing.csv "${INPUTS[@]}"
}

@test "an input with a line break in its name is told in one line" {
  run --separate-stderr make_image $'miss\ning' "${INPUTS[1]}" "${INPUTS[2]}"
  assert_failure 1
  assert_one_line "$stderr"
}

@test "an empty argument for the model gives an error with a subject" {
  run --separate-stderr make_image '' "${INPUTS[1]}" "${INPUTS[2]}"
  assert_failure
  assert_regex "$stderr" '^error: [^:]+: .+'
}

@test "an --output folder with files is an error and keeps its files" {
  mkdir kept
  printf 'mine\n' >kept/file
  refuse kept --output kept "${INPUTS[@]}"
  assert_equal "$(ls -A kept)" file
  assert_equal "$(<kept/file)" mine
}

@test "an --output folder with a hidden file only is an error" {
  mkdir kept
  : >kept/.hidden
  refuse kept --output kept "${INPUTS[@]}"
}

@test "an --output that is a file is an error and keeps the file" {
  printf 'mine\n' >kept
  refuse kept --output kept "${INPUTS[@]}"
  assert_equal "$(<kept)" mine
}

@test "a wanted engine that does not answer is an error" {
  STUB_ENGINES='docker' refuse podman --engine podman "${INPUTS[@]}"
}

@test "no engine that answers is an error" {
  STUB_ENGINES='' refuse 'container engine' "${INPUTS[@]}"
}

@test "no engine that answers is an error in a dry run too" {
  STUB_ENGINES='' refuse 'container engine' --dry-run "${INPUTS[@]}"
}

@test "a missing envsubst is an error that names its package" {
  hide_command envsubst
  refuse envsubst "${INPUTS[@]}"
  assert_regex "$stderr" 'gettext-base'
}

@test "a missing virtual environment is an error that names make setup" {
  unset PYTHON
  refuse "$REPO/.venv/bin/python" "${INPUTS[@]}"
  assert_regex "$stderr" 'make setup'
}

@test "a PYTHON that is not there is an error" {
  export PYTHON=/no/such/python
  refuse /no/such/python "${INPUTS[@]}"
}

@test "a file where build/ should be is an error and keeps the file" {
  printf 'mine\n' >"$REPO/build"
  run --separate-stderr make_image "${INPUTS[@]}"
  assert_error 1 "$REPO/build"
  assert_equal "$(<"$REPO/build")" mine
  assert_no_steps
}

@test "a missing environment for optimum is found before the build starts" {
  run --separate-stderr make_image --exporter optimum "${INPUTS[@]}"
  assert_error 1 "$REPO/.venv-optimum/bin/python"
  assert_regex "$stderr" 'make setup-optimum'
}
