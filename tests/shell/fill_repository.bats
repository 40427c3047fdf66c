#!/usr/bin/env bats
# utils/fill_repository.sh: which file of a conversion goes where.

load helper

setup_file() {
  make_shared_files
  copy_scripts "$BATS_FILE_TMPDIR/repo"
}

setup() {
  local file
  enter_workplace "$BATS_TEST_TMPDIR" "$BATS_FILE_TMPDIR/repo"
  mkdir -p 'my artifacts' 'my repository'/{cls_model,model_onnx,post_processing,text_preprocessing}/1
  for file in model.onnx tokenizer.json id2label.json report.json reference.json selftest.json; do
    printf 'this is %s\n' "$file" >"my artifacts/$file"
  done
  mkdir 'my artifacts/warmup'
  for file in input_ids attention_mask; do
    printf 'this is %s\n' "$file" >"my artifacts/warmup/$file"
  done
}

fill() {
  run --separate-stderr "$REPO/utils/fill_repository.sh" "$@"
}

# files: all in the repository, one a line
files() {
  (cd 'my repository' && find . -type f | sort)
}

readonly PLACES='./model_onnx/1/model.onnx
./model_onnx/warmup/attention_mask
./model_onnx/warmup/input_ids
./post_processing/1/id2label.json
./report.json
./selftest.json
./text_preprocessing/1/tokenizer.json'

@test "graph, labels, report, self-test and tokenizer get their places, and nothing else does" {
  fill 'my artifacts' 'my repository'
  assert_success
  assert_equal "$(files)" "$PLACES"
}

@test "the files are copied as they are" {
  local file
  fill 'my artifacts' 'my repository'
  assert_success
  for file in $(files); do
    assert_equal "$(<"my repository/$file")" "this is ${file##*/}"
  done
}

@test "nothing is printed" {
  fill 'my artifacts' 'my repository'
  assert_success
  assert_output ''
  assert_equal "$stderr" ''
}

@test "thresholds go beside the labels where there are some" {
  printf 'mine\n' >'my artifacts/thresholds.json'
  fill 'my artifacts' 'my repository'
  assert_success
  assert_equal "$(files | grep -F thresholds)" ./post_processing/1/thresholds.json
  assert_equal "$(<'my repository/post_processing/1/thresholds.json')" mine
}

@test "external data goes beside the graph where there is some" {
  printf 'mine\n' >'my artifacts/model.onnx.data'
  fill 'my artifacts' 'my repository'
  assert_success
  assert_equal "$(files | grep -F .data)" ./model_onnx/1/model.onnx.data
}

@test "everybody may read what was placed, whatever the umask" {
  umask 077
  : >'my artifacts/thresholds.json'
  fill 'my artifacts' 'my repository'
  assert_success
  assert_equal "$(find 'my repository' -type f -printf '%m\n' | sort -u)" 644
  assert_equal "$(stat --format %a 'my repository/model_onnx/warmup')" 755
}

@test "each file that every model has is required" {
  local file
  for file in model.onnx tokenizer.json id2label.json report.json selftest.json; do
    mv "my artifacts/$file" aside
    fill 'my artifacts' 'my repository'
    assert_error 1 "my artifacts/$file"
    assert_equal "$stderr" "error: my artifacts/$file: no such file (run utils/convert_to_onnx.py)"
    mv aside "my artifacts/$file"
  done
}

@test "a folder in the place of the thresholds is an error" {
  mkdir 'my artifacts/thresholds.json'
  fill 'my artifacts' 'my repository'
  assert_error 1 'my artifacts/thresholds.json'
}

@test "a repository that was not rendered is an error" {
  fill 'my artifacts' 'no repository'
  assert_error 1 'no repository/model_onnx/1'
  assert_equal "$stderr" 'error: no repository/model_onnx/1: no such folder (run process_template.sh)'
}

@test "one argument is a usage error" {
  fill 'my artifacts'
  assert_error 2 fill_repository.sh
}

@test "three arguments are a usage error" {
  fill 'my artifacts' 'my repository' more
  assert_error 2 fill_repository.sh
  assert_equal "$(files)" ''
}

@test "--help names each file and where it goes" {
  fill --help
  assert_success
  assert_output 'Usage: fill_repository.sh ARTIFACTS REPOSITORY

Copies from ARTIFACTS (written by convert_to_onnx.py) into the rendered REPOSITORY:
  model.onnx, model.onnx.data   model_onnx/1/
  warmup/                       model_onnx/
  tokenizer.json                text_preprocessing/1/
  id2label.json                 post_processing/1/
  thresholds.json               post_processing/1/
  report.json, selftest.json    beside the models, where Triton overlooks them'
}
