#!/usr/bin/env bats
# Builds of make_triton_image.sh in which one step fails: the error is the command's own, the image
# gets no tag, and nothing stays.

load helper

setup_file() {
  make_shared_files
  in_background builds
  in_background more_builds
}

builds() {
  STUB_FAIL='fetch.py' build_ahead fetch
  STUB_FAIL='convert_to_onnx.py' build_ahead conversion
  STUB_FAIL='show_accuracy.py' build_ahead accuracy --labelled "$INPUTS_FOLDER/id2label.json"
  STUB_FAIL='template_variables.py' build_ahead graph
  STUB_FAIL='describe_hardware.py' build_ahead describe
  STUB_FAIL='describe_api.py' build_ahead interface
  STUB_UNSET='FUNCTION' build_ahead template
  STUB_OMIT='tokenizer.json' build_ahead tokenizer
  STUB_FAIL='lint_repository.py' build_ahead lint
  STUB_FAIL='embedded_server.py' STUB_HANG='verify_answers.py' build_ahead server
  STUB_FAIL='serve' STUB_HANG='verify_answers.py' build_ahead serve
  STUB_FAIL='verify_answers.py' build_ahead answers
  STUB_FAIL='keep_folder.py' build_ahead keep_repository --output kept
  STUB_SILENT_FAIL='convert_to_onnx.py' build_ahead silent
  STUB_FAIL='convert_to_onnx.py' build_ahead quiet --quiet
  STUB_FAIL='convert_to_onnx.py' build_ahead keep --keep
}

more_builds() {
  STUB_FAIL='mmdebstrap' BASE_MISSING=1 build_ahead base
  STUB_FAIL='server_files.py' build_ahead server_for_image
  STUB_FAIL='image_labels.py' build_ahead labels
  STUB_FAIL='docker build' build_ahead image
  STUB_FAIL='docker run' STUB_HANG='verify_answers.py #2' build_ahead run
  STUB_FAIL='verify_answers.py #2' build_ahead answers_of_image
  STUB_FAIL='docker tag' build_ahead tag
}

teardown() {
  end_processes
}

# assert_failed BUILD LINE: LINE is the whole error, and no other trace is left
assert_failed() {
  local line="error: $2"
  use_build "$1"
  assert_failure 1
  assert_output ''
  assert_equal "$(grep '^error: ' "$BATS_FILE_TMPDIR/$1/stderr")" "$line"
  assert_no_image triton_ensemble_model:latest
  assert_tidy
}

@test "a failed fetch ends the build" {
  assert_failed fetch 'fetch.py: failed as told (a hint)'
}

@test "a failed conversion ends the build" {
  assert_failed conversion 'convert_to_onnx.py: failed as told (a hint)'
}

@test "an accuracy that cannot be shown ends the build" {
  assert_failed accuracy 'show_accuracy.py: failed as told (a hint)'
}

@test "a graph that cannot be read ends the build" {
  assert_failed graph 'template_variables.py: failed as told (a hint)'
}

@test "a template that cannot be rendered ends the build" {
  assert_failed template "$BATS_FILE_TMPDIR/template/repo/model_repository/post_processing/config.pbtxt.template: variable FUNCTION is not set or empty (utils/template_variables.py prints all of them)"
}

@test "a converted model without a tokenizer ends the build" {
  local file
  use_build tokenizer
  file="$(grep -o -E '/[^ ]+/model/tokenizer.json' "$BATS_FILE_TMPDIR/tokenizer/stderr")"
  assert_failed tokenizer "$file: no such file (run utils/convert_to_onnx.py)"
}

@test "a repository that cannot be told its hardware ends the build" {
  assert_failed describe 'describe_hardware.py: failed as told (a hint)'
}

@test "a repository whose interface cannot be described ends the build" {
  assert_failed interface 'describe_api.py: failed as told (a hint)'
}

@test "a repository with a lint error ends the build" {
  assert_failed lint 'lint_repository.py: failed as told (a hint)'
}

@test "a server that cannot be laid out ends the build" {
  assert_failed server 'embedded_server.py: failed as told (a hint)'
}

@test "a server that stops while it is being checked ends the build" {
  assert_failed serve 'serve: failed as told (a hint)'
}

@test "other answers of the repository end the build" {
  assert_failed answers 'verify_answers.py: failed as told (a hint)'
}

@test "a repository that cannot be kept ends the build" {
  assert_failed keep_repository 'keep_folder.py: failed as told (a hint)'
}

@test "a base image that can neither be pulled nor made ends the build" {
  assert_failed base "mmdebstrap: E: no packages in reach (are Debian's packages in reach?)"
}

@test "a server for the image that cannot be laid out ends the build" {
  assert_failed server_for_image 'server_files.py: failed as told (a hint)'
}

@test "image labels that cannot be made end the build" {
  assert_failed labels 'image_labels.py: failed as told (a hint)'
}

@test "an image that cannot be built ends the build" {
  assert_failed image 'docker build: failed as told (a hint)'
}

@test "an image that stops while it is being checked ends the build" {
  assert_failed run 'docker run: failed as told (a hint)'
}

@test "other answers of the image end the build" {
  assert_failed answers_of_image 'verify_answers.py: failed as told (a hint)'
}

@test "a tag that cannot be given ends the build" {
  assert_failed tag 'docker tag: failed as told (a hint)'
}

@test "the steps after a failed one are not started" {
  use_build lint
  assert_called 'python lint_repository.py.*'
  assert_not_called 'python (verify_answers|image_labels)\.py.*'
  assert_not_called 'docker (build|run|tag) .*'
}

@test "an image is not tagged before its own answers were compared" {
  use_build answers_of_image
  assert_called 'docker build .*'
  assert_not_called 'docker tag .*'
}

@test "the steps that were done stay on the screen" {
  use_build lint
  assert_regex "$stderr" '^(\[[1-8]/17\] [^]]* s'$'\n''){8}error: '
}

@test "a step that fails without a word gets an error line with its name" {
  use_build silent
  assert_failure 1
  assert_regex "$(grep '^error: ' <<<"$stderr")" '^error: .*export to ONNX[^:]*: .+'
}

@test "--quiet leaves the error line alone" {
  use_build quiet
  assert_failure 1
  assert_equal "$stderr" 'error: convert_to_onnx.py: failed as told (a hint)'
}

@test "--keep keeps the work folder of a build that failed" {
  use_build keep
  assert_failure 1
  assert_regex "$stderr" "work folder kept: $REPO/build/ensemble_model\.[A-Za-z0-9]{6}\$"
  assert_file_contains "${stderr##*kept: }/build.log" '^error: convert_to_onnx.py: failed as told'
}
