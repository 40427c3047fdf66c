#!/usr/bin/env bats
# Builds of make_triton_image.sh that succeed, with stubs: what they print, call and leave.

load helper

readonly STEPS=17

# The table of accuracy, as the stub of show_accuracy.py makes it
readonly TABLE=$'┃ 2 labelled texts ┃\n│ stub accuracy    │'

setup_file() {
  make_shared_files
  export SAMPLES="$BATS_FILE_TMPDIR/my samples.txt" LABELLED="$BATS_FILE_TMPDIR/my labelled texts.csv"
  printf 'a text\n' >"$SAMPLES"
  printf 'text,label\na text,positive\n' >"$LABELLED"
  in_background builds
  in_background more_builds
}

# Sets OPTIONS to every option of the conversion that takes a value
set_options() {
  # shellcheck disable=SC2016
  OPTIONS=(--function sigmoid --threshold 'my $(thresholds) "a".json' --top-k 2 --max-length 77
    --long-text window --stride 0 --merge max --max-windows 7 --samples "$SAMPLES"
    --labelled "$LABELLED" --tolerance 2.5e-3 --exporter dynamo)
}

builds() {
  local OPTIONS
  set_options
  build_ahead plain
  build_ahead options cls_model 1 "${OPTIONS[@]}" \
    --image registry.example:5000/team/cls:2 --output kept --sbom 'my list.json' --keep
  STUB_ENGINES='podman' build_ahead podman
  STUB_ENGINES='docker buildah' build_ahead buildah --engine buildah
}

more_builds() {
  local quiet="$BATS_FILE_TMPDIR/a quiet build"
  mkdir -p "$quiet/repo/build/other.abcdef"
  build_ahead 'a quiet build' --quiet --pairs --labelled "$LABELLED" cls_model 1.2 8
  build_ahead dry_run --dry-run --output kept cls_model 3
  STUB_ENGINES='' build_ahead no_image --no-image
  build_ahead labelled --no-image --labelled "$LABELLED"
  mkdir -p "$BATS_FILE_TMPDIR/repository/here/kept"
  STUB_ADD='model.onnx.data thresholds.json' build_ahead repository --no-image --output kept cls_model
  three_at_once
}

# Two builds of one name and another, in one workplace
three_at_once() (
  enter_workplace "$BATS_FILE_TMPDIR/at_once"
  make_image "${INPUTS[@]}" same >../same_1 2>/dev/null &
  make_image "${INPUTS[@]}" same >../same_2 2>/dev/null &
  make_image "${INPUTS[@]}" other >../other 2>/dev/null &
  wait
  : >../done
)

use_three() {
  wait_until 60 test -e "$BATS_FILE_TMPDIR/at_once/done"
  enter_workplace "$BATS_FILE_TMPDIR/at_once" "$BATS_FILE_TMPDIR/at_once/repo"
}

teardown() {
  end_processes
}

# build [ARGUMENT ...]: for the tests that need one of their own
build() {
  enter_workplace "$BATS_TEST_TMPDIR"
  run --separate-stderr make_image "${INPUTS[@]}" "$@"
}

@test "a build prints the image reference and nothing else on stdout" {
  use_build 'a quiet build'
  assert_success
  assert_output triton_cls_model:1.2
}

@test "a build leaves no work folder, no candidate and no process" {
  use_build plain
  assert_called 'docker build .*--tag triton_candidate:.*'
  assert_called 'docker rmi triton_candidate:[A-Za-z0-9]{6}'
  assert_tidy
}

@test "the default name is ensemble_model:latest" {
  use_build plain
  assert_success
  assert_output triton_ensemble_model:latest
}

@test "the default batch size is 4" {
  use_build plain
  assert_called 'python template_variables.py .* ensemble_model 4'
}

@test "the model name and the batch size reach the template" {
  use_build 'a quiet build'
  assert_called 'python template_variables.py .* cls_model 8'
}

@test "the model name and the version reach the image labels" {
  use_build 'a quiet build'
  assert_called 'python image_labels.py .* cls_model [0-9]+\.[0-9]+\.[0-9]+'
}

@test "each image label is an option of the image build" {
  use_build plain
  assert_called 'docker build .*--label stub\.label=one --label stub\.words=two\\ words .*'
}

# assert_passed OPTION VALUE: to the conversion, once, and the value unchanged
assert_passed() {
  use_build options
  arguments_of convert_to_onnx.py
  assert_argument "$@"
}

@test "without options the conversion gets the sources, a folder and the cache" {
  local work
  use_build plain
  arguments_of convert_to_onnx.py
  work="${ARGUMENTS[1]%/*}"
  assert_regex "$work" "^$REPO/build/ensemble_model\.[A-Za-z0-9]{6}\$"
  assert_equal "$(printf '%s\n' "${ARGUMENTS[@]}")" "\
--sources
$work/sources.json
--save-dir
$work/model
--cache
$REPO/.cache/conversions"
}

@test "--function reaches the conversion" {
  assert_passed --function sigmoid
}

@test "--threshold reaches the conversion, whatever is in its name" {
  # shellcheck disable=SC2016
  assert_passed --threshold 'my $(thresholds) "a".json'
}

@test "--top-k reaches the conversion" {
  assert_passed --top-k 2
}

@test "--max-length reaches the conversion" {
  assert_passed --max-length 77
}

@test "--long-text reaches the conversion" {
  assert_passed --long-text window
}

@test "--stride reaches the conversion, even 0" {
  assert_passed --stride 0
}

@test "--merge reaches the conversion" {
  assert_passed --merge max
}

@test "--max-windows reaches the conversion" {
  assert_passed --max-windows 7
}

@test "--samples reaches the conversion, with a space in its name" {
  assert_passed --samples "$BATS_FILE_TMPDIR/my samples.txt"
}

@test "--labelled reaches the conversion, with spaces in its name" {
  assert_passed --labelled "$BATS_FILE_TMPDIR/my labelled texts.csv"
}

@test "--tolerance reaches the conversion" {
  assert_passed --tolerance 2.5e-3
}

@test "--exporter reaches the conversion" {
  assert_passed --exporter dynamo
}

@test "each option of the table was given to the build with options" {
  local OPTIONS option number given=()
  set_options
  for ((number = 0; number < ${#OPTIONS[@]}; number += 2)); do
    given+=("${OPTIONS[number]}")
  done
  enter_workplace "$BATS_TEST_TMPDIR"
  assert_equal "$(printf '%s\n' "${given[@]}" | sort)" "$(table_options)"
}

@test "each option of the table is one of convert_to_onnx.py" {
  local option
  enter_workplace "$BATS_TEST_TMPDIR"
  for option in $(table_options) --pairs; do
    assert_file_contains "$SOURCE_ROOT/utils/convert_to_onnx.py" "\"$option\""
  done
}

@test "without --pairs the conversion does not get it" {
  use_build options
  assert_not_called 'python convert_to_onnx.py .*--pairs.*'
}

@test "--pairs reaches the conversion and takes no value" {
  use_build 'a quiet build'
  arguments_of convert_to_onnx.py
  assert_equal "${#ARGUMENTS[@]}" 9
  assert_called 'python convert_to_onnx.py .* --pairs --labelled .*'
}

@test "of an option that is given twice the conversion gets the last value" {
  build --dry-run --no-image --top-k 1 --top-k 2
  assert_line --index 1 --regexp ' --top-k 2$'
  refute_output --partial ' --top-k 1'
}

@test "--exporter optimum converts, and does nothing else, with the Python of its own environment" {
  enter_workplace "$BATS_TEST_TMPDIR"
  mkdir -p "$REPO/.venv-optimum/bin"
  # shellcheck disable=SC2016
  printf '#!/bin/sh\necho "${1##*/}" >>optimum\nexec %q "$@"\n' "$PYTHON" >"$REPO/.venv-optimum/bin/python"
  chmod +x "$REPO/.venv-optimum/bin/python"
  run --separate-stderr make_image --no-image --exporter optimum --labelled "$LABELLED" "${INPUTS[@]}"
  assert_success
  assert_equal "$(<optimum)" convert_to_onnx.py
}

@test "--image names the image" {
  use_build options
  assert_success
  assert_output registry.example:5000/team/cls:2
  assert_image registry.example:5000/team/cls:2
  assert_no_image triton_cls_model:1
}

@test "options may stand between arguments and behind them" {
  enter_workplace "$BATS_TEST_TMPDIR"
  run --separate-stderr make_image "${INPUTS[0]}" --dry-run "${INPUTS[@]:1}" --image other:1
  assert_success
  assert_line --index $((STEPS - 1)) --partial other:1
}

@test "--quiet prints nothing on stderr" {
  use_build 'a quiet build'
  assert_success
  assert_output triton_cls_model:1.2
  assert_equal "$stderr" ''
}

@test "each step is a numbered line with its seconds" {
  local number
  use_build plain
  for ((number = 1; number <= STEPS; number++)); do
    assert_regex "${stderr_lines[number - 1]}" "^\[$number/$STEPS\] .+ [0-9]+\.[0-9] s\$"
  done
}

@test "with --output there is one step more" {
  use_build repository
  assert_regex "${stderr_lines[10]}" '^\[11/11\] keep the repository '
}

@test "with --labelled there is one step more" {
  use_build labelled
  assert_regex "$stderr" '\[11/11\] serve it, compare answers [0-9]+\.[0-9] s'
}

@test "with --labelled, --output and --sbom there are three steps more" {
  use_build options
  assert_regex "$stderr" "\[$((STEPS + 3))/$((STEPS + 3))\] tag [0-9]+\.[0-9] s"
}

@test "what is in the image is listed before it is checked, and the list is in it" {
  local work
  use_build options
  work="${stderr##*kept: }"
  assert_regex "$stderr" 'build the image [0-9.]+ s'$'\n''\[[0-9/]+\] list what is in it [0-9.]+ s'$'\n''\[[0-9/]+\] run the image'
  assert_called "docker build .*--file $REPO/server/added/Dockerfile --build-arg BASE_IMAGE=triton_candidate:.* $work/contents"
  assert_equal "$(<"$work/contents/added/opt/tritonserver/sbom.cdx.json")" 'stub bill'
  assert_equal "$(<"$work/contents/system")" $'stub os-release\nstub status'
}

@test "--sbom names a file for the list" {
  use_build options
  assert_equal "$(<'my list.json')" 'stub bill'
}

@test "a file that is there already is not written over by --sbom" {
  enter_workplace "$BATS_TEST_TMPDIR"
  printf 'mine\n' >list.json
  run --separate-stderr make_image --sbom list.json "${INPUTS[@]}"
  assert_error 1 list.json
  assert_equal "$(<list.json)" mine
}

@test "--sbom without an image is a usage error" {
  enter_workplace "$BATS_TEST_TMPDIR"
  run --separate-stderr make_image --no-image --sbom list.json "${INPUTS[@]}"
  assert_error 2 --sbom
}

@test "a date of the image that is none is a usage error" {
  enter_workplace "$BATS_TEST_TMPDIR"
  SOURCE_DATE_EPOCH=yesterday run --separate-stderr make_image "${INPUTS[@]}"
  assert_error 2 SOURCE_DATE_EPOCH
}

@test "the accuracy on labelled texts stands behind the conversion" {
  use_build labelled
  assert_success
  assert_equal "$(sed -E 's/ [0-9]+\.[0-9] s$/ N s/' <<<"$stderr")" "\
[1/11] fetch model, tokenizer, labels N s
[2/11] export to ONNX, compare with the original N s
[3/11] accuracy on the labelled texts N s
$TABLE
[4/11] read the graph N s
[5/11] render the model repository N s
[6/11] add the model N s
[7/11] say what hardware it is for N s
[8/11] join the steps, for the embedded server N s
[9/11] describe the interface N s
[10/11] lint the repository N s
[11/11] serve it, compare answers N s
verified in N s"
}

@test "the accuracy is not shown on stdout" {
  use_build labelled
  assert_output ''
}

@test "the accuracy is that of this build's conversion" {
  use_build labelled
  assert_called "python show_accuracy.py --output ($REPO/build/ensemble_model\.[A-Za-z0-9]{6})/details \1/model" 1
}

@test "without --labelled no accuracy is asked for" {
  use_build plain
  assert_not_called 'python show_accuracy.py.*'
}

@test "without --labelled no accuracy is shown" {
  use_build plain
  refute_regex "$stderr" accuracy
}

@test "with --quiet the accuracy is asked for and not shown" {
  use_build 'a quiet build'
  assert_called 'python show_accuracy.py .*' 1
  assert_equal "$stderr" ''
  refute_regex "$output" accuracy
}

@test "the last lines tell the time and how to run the image" {
  use_build plain
  assert_regex "${stderr_lines[STEPS]}" '^triton_ensemble_model:latest is ready after [0-9]+\.[0-9] s:$'
  assert_regex "${stderr_lines[STEPS + 1]}" '^  docker run .* triton_ensemble_model:latest$'
}

@test "the line on how to run the image names the engine that built it" {
  use_build podman
  assert_regex "${stderr_lines[STEPS + 1]}" '^  podman run '
}

@test "on a terminal the line of a step is rewritten" {
  local command
  enter_workplace "$BATS_TEST_TMPDIR"
  printf -v command '%q ' "$REPO/make_triton_image.sh" --no-image "${INPUTS[@]}"
  STUB_FAIL='fetch.py' TERM=xterm run script -qec "$command" /dev/null 3>&-
  assert_failure 1
  assert_regex "$output" $'\r\e\\[K\\[1/10\\] '
}

@test "what the steps print does not reach the caller" {
  use_build plain
  refute_regex "$output$stderr" 'Successfully built'
}

@test "--version prints name and version" {
  enter_workplace "$BATS_TEST_TMPDIR"
  run --separate-stderr make_image --version
  assert_success
  assert_regex "$output" '^make_triton_image\.sh [0-9]+\.[0-9]+\.[0-9]+$'
  assert_no_calls
}

@test "-h prints the usage on stdout" {
  enter_workplace "$BATS_TEST_TMPDIR"
  run --separate-stderr make_image -h
  assert_success
  assert_line --index 0 --partial 'Usage: make_triton_image.sh'
  assert_equal "$stderr" ''
}

@test "--help behind arguments prints the usage and builds nothing" {
  build --help
  assert_success
  assert_line --index 0 --partial 'Usage: make_triton_image.sh'
  assert_no_calls
}

@test "the usage names every option that the parser knows" {
  local option options
  build --help
  options="$(grep -o -E -- '^ +(-[a-z-]+( \| )?)+\)' "$REPO/lib/arguments.sh" | grep -o -E -- '-[a-z-]+')"
  assert_regex "$options" '--dry-run'
  options+=" $(table_options) $(target_options)"
  assert_regex "$options" '--max-windows'
  for option in $options; do
    assert_output --partial "$option"
  done
}

@test "a dry run prints one command for each step" {
  use_build dry_run
  assert_success
  assert_equal "${#lines[@]}" $((STEPS + 1))
}

@test "each command of a dry run can be read by the shell" {
  local line
  use_build dry_run
  for line in "${lines[@]}"; do
    bash -n <<<"$line"
  done
}

@test "a dry run prints the conversion with the options of a build" {
  local OPTIONS built
  set_options
  use_build options
  arguments_of convert_to_onnx.py
  built="${ARGUMENTS[*]@Q}"
  enter_workplace "$BATS_TEST_TMPDIR" "$REPO"
  run --separate-stderr make_image --dry-run "${INPUTS[@]}" "${OPTIONS[@]}" cls_model
  assert_success
  assert_line --index 1 --partial "$STUBS/stub_python $REPO/utils/convert_to_onnx.py "
  arguments_printed "${lines[1]}"
  assert_equal "${ARGUMENTS[*]@Q}" "$(sed -E 's/cls_model\.[A-Za-z0-9]{6}/cls_model.XXXXXX/g' <<<"$built")"
}

@test "a dry run prints --pairs" {
  build --dry-run --no-image --pairs
  assert_line --index 1 --regexp ' --pairs$'
}

@test "a dry run with --labelled prints how the accuracy is shown, and no accuracy" {
  build --dry-run --no-image --labelled "$LABELLED"
  assert_success
  assert_equal "${#lines[@]}" 11
  assert_line --index 2 "$PYTHON $REPO/utils/show_accuracy.py --output $REPO/build/ensemble_model.XXXXXX/details $REPO/build/ensemble_model.XXXXXX/model"
  assert_equal "$stderr" ''
}

@test "a dry run quotes paths with spaces" {
  enter_workplace "$BATS_TEST_TMPDIR"
  mkdir 'my model'
  run --separate-stderr make_image --dry-run 'my model' "${INPUTS[@]:1}"
  eval "set -- ${lines[0]}"
  assert_equal "$4" 'my model'
}

@test "a dry run creates nothing" {
  use_build dry_run
  assert_not_exists "$REPO/build"
  assert_not_exists "$REPO/.cache"
  assert_equal "$(ls -A . "$TMPDIR")" $'.:\n\n'"$TMPDIR:"
}

@test "a dry run starts nothing" {
  use_build dry_run
  assert_no_steps
  assert_no_processes
}

@test "a dry run ends with the tag" {
  use_build dry_run
  assert_equal "${lines[STEPS]}" 'docker tag triton_candidate:XXXXXX triton_cls_model:3'
}

@test "a dry run with --no-image has no command of an engine" {
  build --dry-run --no-image
  assert_equal "${#lines[@]}" 10
  refute_output --regexp '(docker|podman|buildah)'
}

@test "--no-image needs no engine and calls none" {
  use_build no_image
  assert_success
  assert_not_called '(docker|podman|buildah).*'
}

@test "--no-image prints nothing on stdout" {
  use_build no_image
  assert_success
  assert_output ''
}

@test "--no-image leaves no work folder and no process" {
  use_build no_image
  assert_tidy
}

@test "--no-image has ten steps" {
  use_build no_image
  assert_regex "${stderr_lines[9]}" '^\[10/10\] '
}

@test "--no-image with --output prints the folder" {
  use_build repository
  assert_success
  assert_output kept
}

@test "--output keeps the rendered repository" {
  use_build repository
  assert_equal "$(ls kept)" $'cls_model\nfront.json\nhardware.json\nmodel_onnx\nopenapi.json\npost_processing\nreport.json\nselftest.json\ntext_preprocessing'
  assert_file_contains kept/cls_model/config.pbtxt '^name: "cls_model"$'
}

@test "the repository holds graph, tokenizer and labels" {
  use_build repository
  assert_equal "$(<kept/model_onnx/1/model.onnx)" 'stub model.onnx'
  assert_equal "$(<kept/text_preprocessing/1/tokenizer.json)" 'stub tokenizer.json'
  assert_equal "$(<kept/post_processing/1/id2label.json)" 'stub id2label.json'
}

@test "external data of the graph goes with it" {
  use_build repository
  assert_exists kept/model_onnx/1/model.onnx.data
}

@test "thresholds go beside the labels" {
  use_build repository
  assert_equal "$(<kept/post_processing/1/thresholds.json)" 'stub thresholds.json'
}

@test "without thresholds the repository has none" {
  use_build options
  assert_exists kept/post_processing/1/id2label.json
  assert_not_exists kept/post_processing/1/thresholds.json
}

@test "the report lies at the root of the repository and nowhere else" {
  use_build repository
  assert_equal "$(cd kept && find . -name report.json)" ./report.json
  assert_equal "$(<kept/report.json)" 'stub report.json'
}

@test "--output with an image keeps the repository too" {
  use_build options
  assert_exists kept/cls_model/config.pbtxt
}

@test "answers are compared once on the repository and once on the image" {
  use_build plain
  assert_equal "$(grep -x -E 'serve|docker run|verify_answers.py' "$STUB_FOLDER/keys" | sort)" \
    $'docker run\nserve\nverify_answers.py\nverify_answers.py'
}

@test "the tag is the last step" {
  use_build plain
  assert_equal "$(tail -n 2 "$STUB_FOLDER/keys")" $'docker tag\ndocker rmi'
}

@test "the container of the gate is published on the loopback address only" {
  use_build plain
  assert_called 'docker run .*--publish 127\.0\.0\.1:[0-9]+:8000 --publish 127\.0\.0\.1:[0-9]+:8001 --env GRPC=on triton_candidate:.*'
}

@test "the container of the gate is removed" {
  use_build plain
  assert_called 'docker rm --force triton-gate-.*'
}

@test "podman builds the image where docker does not answer" {
  use_build podman
  assert_success
  assert_output triton_ensemble_model:latest
  assert_called 'podman tag localhost/triton_candidate:[A-Za-z0-9]+ triton_ensemble_model:latest'
  assert_tidy
}

@test "buildah builds the image when it is asked to" {
  use_build buildah
  assert_success
  assert_called 'buildah tag localhost/triton_candidate:[A-Za-z0-9]+ triton_ensemble_model:latest'
  assert_not_called 'docker .*'
  assert_tidy
}

@test "without setpriv a build works too" {
  hide_command setpriv
  build --no-image
  assert_success
}

@test "a build works from a folder with a space in its name" {
  use_build 'a quiet build'
  assert_success
  assert_image triton_cls_model:1.2
}

@test "--keep keeps the work folder and names it" {
  use_build options
  assert_success
  assert_regex "$stderr" "work folder kept: $REPO/build/cls_model\.[A-Za-z0-9]{6}\$"
  assert_exists "${stderr##*kept: }/model/model.onnx"
}

@test "--keep keeps a log with the output of all steps" {
  use_build options
  assert_file_contains "${stderr##*kept: }/build.log" '^== \[20/20\] tag$'
  assert_file_contains "${stderr##*kept: }/build.log" '^Successfully built$'
}

@test "--keep does not keep the candidate image" {
  use_build options
  assert_equal "$(ls "$STUB_FOLDER/images")" $'debian:12-slim\nregistry.example:5000%team%cls:2'
}

@test "--keep leaves no process" {
  use_build options
  assert_no_processes
}

# keep_from_removal: a workplace whose rm fails for work folders, as where a container left files of
# another user in them
keep_from_removal() {
  enter_workplace "$BATS_TEST_TMPDIR"
  mkdir -- "$BATS_TEST_TMPDIR/bin"
  # shellcheck disable=SC2016
  printf '#!/bin/bash\n[[ ! "${*: -1}" =~ /build/[^/]+$ ]] || { echo "rm: denied" >&2; exit 1; }\nexec %q "$@"\n' \
    "$(type -P rm)" >"$BATS_TEST_TMPDIR/bin/rm"
  chmod +x -- "$BATS_TEST_TMPDIR/bin/rm"
  PATH="$BATS_TEST_TMPDIR/bin:$PATH"
}

@test "a work folder that cannot be removed is named, and the build is what it is" {
  keep_from_removal
  run --separate-stderr make_image "${INPUTS[@]}"
  assert_success
  assert_output triton_ensemble_model:latest
  assert_regex "${stderr_lines[-1]}" "^not all of it can be removed: $REPO/build/ensemble_model\.[A-Za-z0-9]{6}\$"
  refute_regex "$stderr" 'rm: denied'
  assert_equal "$(find "$STUB_FOLDER/images" -name '*candidate*')" ''
  assert_no_processes
}

@test "a build that fails and cannot be cleaned up ends with its own error and status" {
  keep_from_removal
  STUB_FAIL='fetch.py' run --separate-stderr make_image --quiet "${INPUTS[@]}"
  assert_failure 1
  assert_output ''
  assert_equal "$stderr" 'error: fetch.py: failed as told (a hint)'
  assert_no_processes
}

@test "other work folders in build/ stay" {
  use_build 'a quiet build'
  assert_equal "$(ls "$REPO/build")" other.abcdef
}

@test "builds at once print their own references" {
  use_three
  assert_equal "$(cat ../same_1 ../same_2 ../other)" $'triton_same:latest\ntriton_same:latest\ntriton_other:latest'
}

@test "builds at once do not share a candidate, even of one name" {
  use_three
  assert_equal "$(grep -o -E '^docker rmi .*' "$STUB_FOLDER/calls" | sort -u | wc -l)" 3
}

@test "builds at once leave nothing but their images" {
  use_three
  assert_image triton_same:latest
  assert_image triton_other:latest
  assert_tidy
}
