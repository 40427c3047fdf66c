#!/usr/bin/env bats
# Where make_triton_image.sh gets model, tokenizer and labels from: what the fetch is asked for, what
# is looked for before, and what the conversion knows of it.

load helper

# With all that a shell could make something else of
# shellcheck disable=SC2016
readonly FOLDERS=('my $(touch canary) model' "my 'own' tokenizer*" 'my "labels";.json')
# shellcheck disable=SC2016
readonly URIS=('hf://user/name@v1.0' 's3://bucket/a folder/*' 'https://example.org/l.json?a=1&b=$HOME')

setup_file() {
  make_shared_files
  in_background builds
}

builds() {
  build_ahead paths --no-image
  build_from_ahead uris "${URIS[@]}" --no-image --offline --keep
  mkdir -p "$BATS_FILE_TMPDIR/folders/here/${FOLDERS[0]}" "$BATS_FILE_TMPDIR/folders/here/${FOLDERS[1]}"
  : >"$BATS_FILE_TMPDIR/folders/here/${FOLDERS[2]}"
  build_from_ahead folders "${FOLDERS[@]}" --no-image
  build_from_ahead names --where-model hf me/model --where-tokenizer clearml --no-image 'a 1' \
    --where-labels s3 bucket/labels.json
  build_from_ahead model hf://unfetchable/name - - --output kept
  build_from_ahead tokenizer hf://user/name hf://unfetchable/name -
  build_from_ahead labels hf://user/name - unfetchable.json.zip
}

setup() {
  enter_workplace "$BATS_TEST_TMPDIR"
}

teardown() {
  end_processes
}

# dry_run [ARGUMENT ...]: sets ARGUMENTS to those of the fetch
dry_run() {
  run --separate-stderr make_image --dry-run --no-image "$@"
  assert_success
  assert_equal "$stderr" ''
  assert_line --index 0 --partial "$PYTHON $REPO/utils/fetch.py "
  arguments_printed "${lines[0]}"
}

# assert_fetched BUILD OPTION VALUE
assert_fetched() {
  use_build "$1"
  assert_success
  arguments_of fetch.py
  assert_argument "$2" "$3"
}

# refuse SUBJECT [ARGUMENT ...]: before anything is started
refuse() {
  local subject="$1"
  shift
  run --separate-stderr make_image --no-image "$@"
  assert_error 1 "$subject"
  assert_no_calls
  assert_not_exists "$REPO/build"
}

# refuse_name NAME: as a folder or file that is not there, whichever of the three it is
refuse_name() {
  refuse "$1" "$1" "${INPUTS[@]:1}"
  refuse "$1" "${INPUTS[0]}" "$1" "${INPUTS[2]}"
  refuse "$1" "${INPUTS[@]:0:2}" "$1"
}

# assert_not_fetched BUILD LINE: LINE is all that is told, and no trace is left
assert_not_fetched() {
  use_build "$1"
  assert_error 1 "${2%%: *}"
  assert_equal "$stderr" "error: $2"
  assert_not_called 'python convert_to_onnx.py.*'
  assert_no_image triton_ensemble_model:latest
  assert_equal "$(ls -A .)" ''
  assert_tidy
}

@test "the fetch is the first step of a build" {
  use_build paths
  assert_equal "$(grep -m 1 -v -x choose_target.py "$STUB_FOLDER/keys")" fetch.py
}

@test "something is fetched once in a build" {
  use_build paths
  assert_called 'python fetch.py .*' 1
}

@test "the fetch is the first of the steps that are shown" {
  use_build paths
  assert_regex "${stderr_lines[0]}" '^\[1/10\] fetch model, tokenizer, labels [0-9]+\.[0-9] s$'
}

@test "without options the fetch gets the references and two files in the work folder" {
  local work
  use_build paths
  arguments_of fetch.py
  work="${ARGUMENTS[7]%/*}"
  assert_regex "$work" "^$REPO/build/ensemble_model\.[A-Za-z0-9]{6}\$"
  assert_equal "$(printf '%s\n' "${ARGUMENTS[@]}")" "\
--model
${INPUTS[0]}
--tokenizer
${INPUTS[1]}
--labels
${INPUTS[2]}
--output
$work/sources.json
--progress
$work/progress"
}

@test "each option of the fetch is one of fetch.py" {
  local option
  for option in model tokenizer labels 'where-{part}' offline allow-pickle output progress; do
    grep -q -F -- "\"--$option\"" "$SOURCE_ROOT/utils/fetch.py" || fail "--$option"
  done
}

@test "--sources is an option of convert_to_onnx.py" {
  assert_file_contains "$SOURCE_ROOT/utils/convert_to_onnx.py" '"--sources"'
}

@test "a model's folder reaches the fetch, whatever is in its name" {
  assert_fetched folders --model "${FOLDERS[0]}"
}

@test "a tokenizer's folder reaches the fetch, whatever is in its name" {
  assert_fetched folders --tokenizer "${FOLDERS[1]}"
}

@test "a label file reaches the fetch, whatever is in its name" {
  assert_fetched folders --labels "${FOLDERS[2]}"
}

@test "a folder's name is never run" {
  use_build folders
  assert_not_exists canary
}

@test "a model's URI reaches the fetch unchanged" {
  assert_fetched uris --model "${URIS[0]}"
}

@test "a tokenizer's URI reaches the fetch unchanged" {
  assert_fetched uris --tokenizer "${URIS[1]}"
}

@test "the labels' URI reaches the fetch unchanged" {
  assert_fetched uris --labels "${URIS[2]}"
}

@test "a bare name of a model reaches the fetch with its storage" {
  assert_fetched names --model me/model
  assert_argument --where-model hf
}

@test "a bare name of a tokenizer reaches the fetch with its storage" {
  assert_fetched names --tokenizer 'a 1'
  assert_argument --where-tokenizer clearml
}

@test "a bare name of labels reaches the fetch with its storage" {
  assert_fetched names --labels bucket/labels.json
  assert_argument --where-labels s3
}

@test "the storage of one part is not told for another" {
  dry_run --where-tokenizer hf "${INPUTS[@]}"
  assert_argument --where-tokenizer hf
  refute_argument --where-model
  refute_argument --where-labels
}

@test "of a storage that is given twice the fetch gets the last" {
  dry_run --where-model local --where-model hf name "${INPUTS[@]:1}"
  assert_argument --where-model hf
}

@test "- as TOKENIZER reaches the fetch" {
  dry_run "${INPUTS[0]}" - "${INPUTS[2]}"
  assert_argument --tokenizer -
}

@test "- as ID2LABEL reaches the fetch" {
  dry_run "${INPUTS[@]:0:2}" -
  assert_argument --labels -
}

@test "- as TOKENIZER and ID2LABEL may stand behind --" {
  dry_run -- "${INPUTS[0]}" - -
  assert_argument --tokenizer -
  assert_argument --labels -
}

@test "- as MODEL is refused before anything runs" {
  run --separate-stderr make_image --no-image - - -
  assert_error 2 MODEL
  assert_not_called 'python .*'
}

@test "a storage whose name is an option is refused" {
  local option
  for option in --where-model --where-tokenizer --where-labels; do
    run --separate-stderr make_image --no-image "$option" --offline "${URIS[@]}"
    assert_error 2 --offline
    assert_not_called 'python .*'
  done
}

@test "a folder whose name begins with a hyphen is no option of any command" {
  mkdir -- -x
  dry_run -- -x - -
  assert_argument --model ./-x
}

@test "what only looks like a URI is looked for as a folder" {
  run --separate-stderr make_image --no-image HF://user/name - -
  assert_error 1 HF://user/name
  assert_not_called 'python .*'
}

@test "--offline reaches the fetch" {
  use_build uris
  arguments_of fetch.py
  assert_equal "${ARGUMENTS[*]: -1}" --offline
}

@test "--offline takes no value" {
  dry_run --offline "${INPUTS[@]}"
  assert_argument --model "${INPUTS[0]}"
}

@test "--offline does not reach the conversion" {
  use_build uris
  arguments_of convert_to_onnx.py
  refute_argument --offline
}

@test "--allow-pickle reaches the fetch and takes no value" {
  dry_run --allow-pickle "${INPUTS[@]}"
  assert_argument --model "${INPUTS[0]}"
  assert_equal "${ARGUMENTS[*]: -1}" --allow-pickle
}

@test "on a terminal the progress of the fetch stands beside its seconds, and nowhere else" {
  local command
  printf -v command '%q ' "$REPO/make_triton_image.sh" --no-image "${INPUTS[@]}"
  STUB_PROGRESS='3 of 9 MB' TERM=xterm run script -qec "$command" /dev/null 3>&-
  assert_success
  assert_regex "$output" '\[1/10\] fetch [^[]+ s, 3 of 9 MB'
  refute_regex "$output" '\[([2-9]|10)/10\] [^[]+ MB'
}

@test "the conversion gets the sources that this build fetched" {
  local written
  use_build uris
  arguments_of fetch.py
  written="${ARGUMENTS[7]}"
  arguments_of convert_to_onnx.py
  assert_argument --sources "$written"
  assert_equal "$(<"$written")" "$(printf 'stub source: %s\n' "${URIS[@]}")"
}

@test "the conversion gets no reference and no storage" {
  local option
  use_build names
  arguments_of convert_to_onnx.py
  for option in --{,where-}{model,tokenizer,labels}; do
    refute_argument "$option"
  done
}

@test "a URI is not looked for among the folders" {
  dry_run hf://user/model hf://user/tokenizer hf://user/labels
}

@test "an archive is not looked for among the folders" {
  local ending
  for ending in zip tar tar.gz tgz; do
    dry_run "my model.$ending" "folder/tokenizer.$ending" "/labels.$ending"
    assert_argument --model "my model.$ending"
  done
}

@test "a bare name is not looked for where its storage is told" {
  dry_run --where-model hf --where-tokenizer mlflow --where-labels clearml a b c
}

@test "a folder or file that is not there is an error before anything runs" {
  refuse_name missing
}

@test "a name with an archive's ending and more is looked for" {
  refuse_name model.zip.d
}

@test "an archive's ending without its dot is looked for" {
  refuse_name modelzip
}

@test "a name with :/ or // alone is looked for" {
  refuse_name hf:/user
  refuse_name user//name
}

@test "with the storage local a model's folder is looked for" {
  refuse missing --where-model local missing "${INPUTS[@]:1}"
}

@test "with the storage local a tokenizer's folder is looked for" {
  refuse missing --where-tokenizer local "${INPUTS[0]}" missing "${INPUTS[2]}"
}

@test "with the storage local a label file is looked for" {
  refuse missing --where-labels local "${INPUTS[@]:0:2}" missing
}

@test "the storages of two parts do not make the third's name one of theirs" {
  refuse missing --where-tokenizer hf --where-labels hf missing a b
  refuse missing --where-model hf --where-labels hf a missing b
  refuse missing --where-model hf --where-tokenizer hf a b missing
}

@test "beside a URI a label file that is not there is an error before anything runs" {
  refuse missing.json hf://user/name - missing.json
}

@test "a folder that is not there is an error with --offline too" {
  refuse missing --offline missing - -
}

@test "a model that cannot be fetched is told in one line and leaves nothing" {
  assert_not_fetched model 'hf://unfetchable/name: not there (a hint)'
}

@test "a tokenizer that cannot be fetched is told in one line and leaves nothing" {
  assert_not_fetched tokenizer 'hf://unfetchable/name: not there (a hint)'
}

@test "labels that cannot be fetched are told in one line and leave nothing" {
  assert_not_fetched labels 'unfetchable.json.zip: not there (a hint)'
}

@test "a dry run prints the fetch as a build runs it" {
  local built
  use_build names
  arguments_of fetch.py
  built="${ARGUMENTS[*]@Q}"
  enter_workplace "$BATS_TEST_TMPDIR/dry" "$REPO"
  dry_run --where-model hf --where-tokenizer clearml --where-labels s3 me/model 'a 1' bucket/labels.json
  assert_equal "${ARGUMENTS[*]@Q}" "$(sed -E 's/ensemble_model\.[A-Za-z0-9]{6}/ensemble_model.XXXXXX/g' <<<"$built")"
}

@test "a dry run prints the fetch first and the conversion of its sources next" {
  local written
  dry_run "${INPUTS[@]}"
  written="$REPO/build/ensemble_model.XXXXXX/sources.json"
  assert_argument --output "$written"
  assert_line --index 1 --partial "$PYTHON $REPO/utils/convert_to_onnx.py "
  arguments_printed "${lines[1]}"
  assert_argument --sources "$written"
}

@test "a dry run prints --offline" {
  dry_run --offline "${URIS[@]}"
  assert_equal "${ARGUMENTS[*]: -1}" --offline
}

@test "a dry run quotes references" {
  dry_run "${URIS[@]}"
  assert_argument --tokenizer "${URIS[1]}"
  assert_argument --labels "${URIS[2]}"
}

@test "a dry run fetches nothing, not even what cannot be fetched" {
  dry_run hf://unfetchable/name - -
  assert_no_steps
  assert_not_exists "$REPO/build"
}
