#!/usr/bin/env bats
# process_template.sh with the real envsubst.

load helper

setup_file() {
  make_shared_files
  copy_scripts "$BATS_FILE_TMPDIR/repo"
  set_variables
  "$BATS_FILE_TMPDIR/repo/process_template.sh" "$BATS_FILE_TMPDIR/repo/model_repository" \
    "$BATS_FILE_TMPDIR/rendered" >"$BATS_FILE_TMPDIR/printed" 2>&1
}

setup() {
  enter_workplace "$BATS_TEST_TMPDIR" "$BATS_FILE_TMPDIR/repo"
  TEMPLATE="$REPO/model_repository"
  RENDERED="$BATS_FILE_TMPDIR/rendered"
  set_variables
}

set_variables() {
  NAMES=(MODEL_NAME MAX_BATCH_SIZE TEXT_TENSORS TEXT_INPUT_MAP LONG_TEXT MAX_WINDOWS LENGTH_MULTIPLE TOKEN_TENSORS
    TOKEN_OUTPUT_MAP TOKEN_INPUT_MAP LOGITS_NAME LOGITS_TENSOR ENGINE WARMUP_INPUTS
    CLASS_COUNT PROBLEM_TYPE FUNCTION TOP_K)
  local name
  for name in "${NAMES[@]}"; do
    export "$name=value of $name"
  done
  export MODEL_NAME=cls_model
}

process() {
  run --separate-stderr "$REPO/process_template.sh" "$@"
}

# make_template TEXT: a folder `source` with the one template source/config.template
make_template() {
  mkdir source
  printf '%s\n' "$1" >source/config.template
}

# listing FOLDER: everything in it with modes, times and checksums
listing() {
  (cd -- "$1" && find . -printf '%y %m %T@ %p\n' && find . -type f -exec cksum {} +) | sort
}

@test "all variables of the repository's templates are filled in" {
  assert_equal "$(grep -r -l -F '$' "$RENDERED" --include=config.pbtxt)" ''
  assert_file_contains "$RENDERED/model_onnx/config.pbtxt" '^  value of TOKEN_TENSORS$'
  assert_file_contains "$RENDERED/cls_model/config.pbtxt" '^name: "cls_model"$'
}

@test "each variable that may be named is filled in" {
  local name
  # shellcheck disable=SC2016
  make_template "$(printf '${%s}\n' "${NAMES[@]}")"
  process source target
  for name in "${NAMES[@]}"; do
    assert_file_contains target/config "^${!name}\$"
  done
}

@test "each variable that may be named is one that these tests know" {
  # shellcheck disable=SC2016
  run bash -c 'source "$1" && printf "%s\n" "${VARIABLES[@]}"' bash "$REPO/process_template.sh"
  assert_output "$(printf '%s\n' "${NAMES[@]}")"
}

@test "each variable has a place in the repository's templates" {
  local name
  for name in "${NAMES[@]}"; do
    run grep -r -q -w -F --include=config.pbtxt -- "${!name}" "$RENDERED"
    assert_success
  done
}

@test "each variable of the repository's templates is required" {
  local name
  for name in "${NAMES[@]}"; do
    run --separate-stderr env --unset="$name" "$REPO/process_template.sh" "$TEMPLATE" target
    assert_failure 1
    assert_one_line "$stderr"
    assert_regex "$stderr" "/config\.pbtxt\.template: variable $name is not set or empty "
    assert_not_exists target
  done
}

@test "the modules beside a model.py are copied as they are" {
  assert_files_equal "$TEMPLATE/post_processing/1/scoring.py" "$RENDERED/post_processing/1/scoring.py"
  assert_files_equal "$TEMPLATE/text_preprocessing/1/tokenization.py" \
    "$RENDERED/text_preprocessing/1/tokenization.py"
}

@test "nothing is printed" {
  assert_equal "$(<"$BATS_FILE_TMPDIR/printed")" ''
}

@test "the ensemble's folder takes the model's name" {
  assert_equal "$(ls "$RENDERED")" $'cls_model\nmodel_onnx\npost_processing\ntext_preprocessing'
}

@test "the ensemble's folder stays where the model is named like it" {
  MODEL_NAME=ensemble_model process "$TEMPLATE" target
  assert_success
  assert_equal "$(ls target)" $'ensemble_model\nmodel_onnx\npost_processing\ntext_preprocessing'
}

@test "no template and no .gitkeep is left in the target" {
  assert_equal "$(find "$RENDERED" -name '*.template' -o -name .gitkeep)" ''
}

@test "compiled Python files are not copied" {
  cp -R "$TEMPLATE" source
  mkdir -p source/post_processing/1/__pycache__
  : >source/post_processing/1/__pycache__/model.pyc
  process source target
  assert_success
  assert_not_exists target/post_processing/1/__pycache__
}

@test "empty version folders are kept" {
  assert_exists "$RENDERED/cls_model/1"
  assert_exists "$RENDERED/model_onnx/1"
}

@test "files that are no templates are copied as they are" {
  assert_files_equal "$TEMPLATE/post_processing/1/model.py" "$RENDERED/post_processing/1/model.py"
}

@test "a \$ in a file that is no template stays" {
  make_template "$FUNCTION"
  # shellcheck disable=SC2016
  printf '$MODEL_NAME $5\n' >source/plain
  process source target
  assert_success
  assert_files_equal source/plain target/plain
}

@test "an empty target folder is taken" {
  mkdir target
  process "$TEMPLATE" target
  assert_success
  assert_exists target/cls_model/config.pbtxt
}

@test "a target in a folder that is not there yet is made" {
  process "$TEMPLATE" new/target
  assert_success
  assert_exists new/target/cls_model/config.pbtxt
}

@test "folders with spaces in their names are taken" {
  cp -R "$TEMPLATE" 'my source'
  process 'my source' 'my target'
  assert_success
  assert_exists 'my target/cls_model/config.pbtxt'
}

@test "the source is not written to" {
  local before
  cp -R "$SOURCE_ROOT/model_repository" source
  before="$(listing source)"
  process source target
  assert_success
  assert_equal "$(listing source)" "$before"
}

@test "the source is not written to when a template is wrong" {
  local before
  # shellcheck disable=SC2016
  make_template '$NO_SUCH_VARIABLE'
  before="$(listing source)"
  process source target
  assert_failure
  assert_equal "$(listing source)" "$before"
}

@test "a read-only source is rendered and not written to" {
  local before unprivileged=()
  cp -R "$SOURCE_ROOT/model_repository" source
  chmod -R a-w source
  before="$(listing source)"
  # Write protection is nothing to root, unless it drops the capability to ignore it.
  [[ "$(id -u)" -ne 0 ]] || unprivileged=(setpriv --bounding-set -dac_override)
  run --separate-stderr "${unprivileged[@]}" "$REPO/process_template.sh" source target
  assert_equal "$(listing source)" "$before"
  assert_success
  chmod -R u+w source
}

@test "an unknown variable is an error with file and name" {
  # shellcheck disable=SC2016
  make_template 'name: $NO_SUCH_VARIABLE'
  NO_SUCH_VARIABLE='a value' process source target
  assert_error 1 source/config.template
  assert_regex "$stderr" "unknown variable \\\$NO_SUCH_VARIABLE "
}

@test "a variable that is not set is an error with file and name" {
  unset CLASS_COUNT
  process "$TEMPLATE" target
  assert_error 1 "$TEMPLATE/ensemble_model/config.pbtxt.template"
  assert_regex "$stderr" 'variable CLASS_COUNT is not set'
}

@test "an empty variable is an error with file and name" {
  FUNCTION='' process "$TEMPLATE" target
  assert_error 1 "$TEMPLATE/post_processing/config.pbtxt.template"
  assert_regex "$stderr" 'variable FUNCTION is not set or empty'
}

@test "a \$ without a name is an error with file and line" {
  make_template $'first\nsecond \$ line'
  process source target
  assert_error 1 source/config.template:2
}

@test "a \$ before a digit is an error with file and line" {
  make_template $'first\nsecond\n\$5'
  process source target
  assert_error 1 source/config.template:3
}

@test "a brace that is not closed is an error with file and line" {
  # shellcheck disable=SC2016
  make_template '${MODEL_NAME'
  process source target
  assert_error 1 source/config.template:1
}

@test "a \$ beside a variable is an error with file and line" {
  # shellcheck disable=SC2016
  make_template 'name: $$MODEL_NAME'
  process source target
  assert_error 1 source/config.template:1
}

@test "a wrong template leaves no target" {
  unset WARMUP_INPUTS
  process "$TEMPLATE" target
  assert_failure
  assert_not_exists target
}

@test "a target with files is refused and keeps them" {
  mkdir target
  printf 'mine\n' >target/file
  process "$TEMPLATE" target
  assert_error 1 target
  assert_equal "$(ls -A target)" file
  assert_equal "$(<target/file)" mine
}

@test "a target with a hidden file is refused" {
  mkdir target
  : >target/.hidden
  process "$TEMPLATE" target
  assert_error 1 target
}

@test "a target that is a file is refused and kept" {
  printf 'mine\n' >target
  process "$TEMPLATE" target
  assert_error 1 target
  assert_equal "$(<target)" mine
}

@test "a target below a file is an error" {
  : >file
  process "$TEMPLATE" file/target
  assert_error 1 file/target
}

@test "a source that is not there is an error" {
  process missing target
  assert_error 1 missing
  assert_not_exists target
}

@test "a missing envsubst is an error that names its package" {
  hide_command envsubst
  process "$TEMPLATE" target
  assert_error 1 envsubst
  assert_regex "$stderr" 'gettext-base'
}

@test "no arguments are a usage error" {
  process
  assert_error 2 process_template.sh
}

@test "one argument is a usage error" {
  process "$TEMPLATE"
  assert_error 2 process_template.sh
}

@test "three arguments are a usage error" {
  process "$TEMPLATE" target more
  assert_error 2 process_template.sh
  assert_not_exists target
}

@test "--variables reads the variables from a file" {
  local name
  for name in "${NAMES[@]}"; do
    printf "%s='from the file'\n" "$name"
    unset "$name"
  done >../variables.env
  printf 'MODEL_NAME=from_file\n' >>../variables.env
  process --variables ../variables.env "$TEMPLATE" target
  assert_success
  assert_file_contains target/from_file/config.pbtxt '^name: "from_file"$'
  assert_file_contains target/post_processing/config.pbtxt 'string_value: "from the file"'
}

@test "--variables wins over the environment" {
  # shellcheck disable=SC2016
  make_template '$FUNCTION'
  printf "FUNCTION='from the file'\n" >../variables.env
  process --variables ../variables.env source target
  assert_equal "$(<target/config)" 'from the file'
}

@test "--variables takes a file of the current folder, not one on PATH" {
  # shellcheck disable=SC2016
  make_template '$FUNCTION'
  mkdir on_path
  printf "FUNCTION=wrong\n" >on_path/variables.env
  printf "FUNCTION=right\n" >variables.env
  PATH="$PWD/on_path:$PATH" process --variables variables.env source target
  assert_equal "$(<target/config)" right
}

@test "--variables with a file that is not there is an error" {
  process --variables missing.env "$TEMPLATE" target
  assert_error 1 missing.env
}

@test "--variables without a file is an error" {
  process --variables
  assert_failure
  assert_one_line "$stderr"
}

@test "--help prints the usage" {
  process --help
  assert_success
  assert_line --index 0 --partial 'Usage: process_template.sh'
}

# unchanged VALUE: a template of one variable becomes that value
unchanged() {
  # shellcheck disable=SC2016
  make_template '$FUNCTION'
  FUNCTION="$1" process source target
  assert_success
  assert_equal "$(<target/config)" "$1"
}

@test "slashes in a value arrive unchanged" {
  unchanged 'a/b\/c'
}

@test "quotes in a value arrive unchanged" {
  unchanged "a \"double\" and a 'single' and a \`back\`"
}

@test "ampersands in a value arrive unchanged" {
  unchanged 'a & b && \& c'
}

@test "line breaks in a value arrive unchanged" {
  unchanged $'first\n  second\n\nlast'
}

@test "a \$ in a value arrives unchanged" {
  # shellcheck disable=SC2016
  unchanged '$MODEL_NAME ${FUNCTION} $(touch canary) $5'
  assert_not_exists canary
}

@test "letters of another alphabet in a value arrive unchanged" {
  unchanged 'модель ✓'
}

@test "values of --variables with line breaks and quotes arrive unchanged" {
  local value=$'first "line"\nit\'s & /more\\'
  # shellcheck disable=SC2016
  make_template '$FUNCTION'
  printf 'FUNCTION=%q\n' "$value" >../variables.env
  process --variables ../variables.env source target
  assert_equal "$(<target/config)" "$value"
}

@test "a model name that leaves the target is refused" {
  MODEL_NAME='../../escaped' process "$TEMPLATE" deep/target
  assert_failure
  assert_not_exists escaped
}

@test "a model name of another model in the folder is refused" {
  MODEL_NAME='model_onnx' process "$TEMPLATE" target
  assert_failure
  assert_not_exists target/model_onnx/ensemble_model
}
