#!/usr/bin/env bats
# Wrong arguments of make_triton_image.sh: told in one line, before anything happens.

load helper

# One copy for all tests: none of them may write to it.
setup_file() {
  make_shared_files
  copy_scripts "$BATS_FILE_TMPDIR/repo"
  BEFORE="$(find "$BATS_FILE_TMPDIR")"
  export BEFORE
}

setup() {
  enter_workplace "$BATS_TEST_TMPDIR" "$BATS_FILE_TMPDIR/repo"
}
# Where something was built though it should not, the next test shall not suffer.
teardown() {
  [[ ! -e "$REPO/build" ]] || rm -r -- "$REPO/build"
}

# refuse SUBJECT [ARGUMENT ...]
refuse() {
  local subject="$1"
  shift
  run --separate-stderr make_image "$@"
  assert_error 2 "$subject"
  assert_no_calls
  assert_equal "$(find "$BATS_FILE_TMPDIR" . "$TMPDIR")" "$BEFORE"$'\n.\n'"$TMPDIR"
}

# refuse_name NAME: as MODEL_NAME, whose first 80 characters are shown quoted
refuse_name() {
  refuse "model name $(printf '%q' "${1:0:80}")" "${INPUTS[@]}" "$1"
}

refuse_tag() {
  refuse "container tag $(printf '%q' "${1:0:80}")" "${INPUTS[@]}" name "$1"
}

refuse_batch_size() {
  refuse "max batch size $(printf '%q' "$1")" "${INPUTS[@]}" name tag "$1"
}

# refuse_value OPTION VALUE WORDS: WORDS tell the values that OPTION takes
refuse_value() {
  refuse "$1" "$1" "$2" "${INPUTS[@]}"
  assert_equal "$stderr" "error: $1: must be $3, not $(printf '%q' "$2") (see --help)"
}

# refuse_values OPTION WORDS VALUE ...
refuse_values() {
  local option="$1" words="$2" value
  shift 2
  for value in "$@"; do
    refuse_value "$option" "$value" "$words"
  done
}

# take_values OPTION VALUE ...: each reaches the conversion unchanged
take_values() {
  local option="$1" value
  shift
  for value in "$@"; do
    accept --no-image "$option" "$value" "${INPUTS[@]}"
    eval "set -- ${lines[1]}"
    assert_equal "${*: -2}" "$option $value"
  done
  # What is refused next shall call nothing.
  rm -- "$STUB_FOLDER"/{calls,keys}
}

refuse_image() {
  refuse "image $(printf '%q' "$1")" --image "$1" "${INPUTS[@]}"
}

# refuse_with_verify_only [OPTION ...]: before and behind --verify-only
refuse_with_verify_only() {
  refuse --verify-only "$@" --verify-only triton_cls:1
  assert_equal "$stderr" 'error: --verify-only: takes no options of a build (--engine, --dry-run, --keep and --quiet go with it)'
  refuse --verify-only --verify-only triton_cls:1 "$@"
}

# accept [ARGUMENT ...]: as far as a dry run goes
accept() {
  run --separate-stderr make_image --dry-run "$@"
  assert_success
}

characters() {
  printf 'a%.0s' $(seq "$1")
}

@test "no arguments are refused" {
  refuse arguments
}

@test "two arguments are too few" {
  refuse arguments "${INPUTS[0]}" "${INPUTS[1]}"
}

@test "options do not count as arguments" {
  refuse arguments --no-image --quiet "${INPUTS[0]}" "${INPUTS[1]}"
}

@test "a seventh argument is refused and named" {
  refuse seventh "${INPUTS[@]}" name tag 4 seventh
}

@test "an unknown long option is refused" {
  refuse --no-such-option --no-such-option "${INPUTS[@]}"
}

@test "an unknown short option is refused" {
  refuse -x "${INPUTS[@]}" -x
}

@test "an unknown option with a line break is told in one line" {
  run --separate-stderr make_image "${INPUTS[@]}" $'--bad\noption'
  assert_failure 2
  assert_one_line "$stderr"
}

@test "an unknown option is told by name" {
  refuse --no-such-option "${INPUTS[@]}" --no-such-option 1
  assert_equal "$stderr" 'error: --no-such-option: unknown option (see --help)'
}

@test "an unknown option with a command substitution is refused and runs nothing" {
  local option
  # shellcheck disable=SC2016
  for option in '--$(touch canary)' '--a[$(touch canary)]' '--`touch canary`' '-]$(touch canary)'; do
    refuse "$option" "$option" 1 "${INPUTS[@]}"
  done
  assert_not_exists canary
}

@test "two options in one word are refused" {
  refuse '--hardware --precision' '--hardware --precision' cpu "${INPUTS[@]}"
}

@test "the beginning of an option's name is refused" {
  refuse --max-len --max-len 77 "${INPUTS[@]}"
}

@test "a hyphen alone is an argument" {
  refuse - "${INPUTS[@]}" name tag 4 -
  assert_equal "$stderr" 'error: -: one argument too many (see --help)'
}

@test "options of the conversion that a build sets itself are refused" {
  local option
  for option in --cache --labels --model --save-dir --sources --tokenizer; do
    refuse "$option" "$option" folder "${INPUTS[@]}"
  done
}

@test "an option of the conversion with = is refused" {
  refuse --top-k=2 --top-k=2 "${INPUTS[@]}"
}

@test "an option with = is refused" {
  refuse --output=folder --output=folder "${INPUTS[@]}"
}

@test "each option that takes a value is refused without one" {
  local option
  for option in --output --image --engine --verify-only --ca-file --where-{model,tokenizer,labels} $(table_options) $(target_options); do
    refuse "$option" "${INPUTS[@]}" "$option"
    assert_equal "$stderr" "error: $option: needs a value (see --help)"
  done
}

@test "an empty value is refused for each option that takes one" {
  local option
  for option in --output --image --engine --verify-only --ca-file --where-{model,tokenizer,labels} $(table_options) $(target_options); do
    refuse "$option" "$option" '' "${INPUTS[@]}"
    assert_equal "$stderr" "error: $option: needs a value (see --help)"
  done
}

@test "after -- an option is an argument" {
  refuse --quiet -- "${INPUTS[@]}" name tag 4 --quiet
}

@test "a model name that ends a command and starts another is refused and runs nothing" {
  refuse_name ';touch canary;'
  assert_not_exists canary
}

@test "the model name ;id is refused" {
  refuse_name ';id'
}

@test "a model name with a command substitution is refused and runs nothing" {
  # shellcheck disable=SC2016
  refuse_name '$(touch canary)'
  assert_not_exists canary
}

@test "a model name with backquotes is refused and runs nothing" {
  # shellcheck disable=SC2016
  refuse_name '`touch canary`'
  assert_not_exists canary
}

@test "a model name with an arithmetic command substitution is refused and runs nothing" {
  # shellcheck disable=SC2016
  refuse_name 'a[$(touch canary)]'
  assert_not_exists canary
}

@test "a model name that leaves the folder is refused" {
  refuse_name '../x'
}

@test "a model name with a slash is refused" {
  refuse_name 'a/b'
}

@test "a model name with a quote is refused" {
  refuse_name 'a"b'
}

@test "a model name with a space is refused" {
  refuse_name 'a b'
}

@test "a model name with a line break is refused in one line" {
  refuse_name $'a\nb'
}

@test "a model name that ends with a line break is refused" {
  refuse_name $'a\n'
}

@test "a model name with a terminal escape is refused and shown quoted" {
  refuse_name $'a\e[2Jb'
  refute_regex "$stderr" $'\e'
}

@test "a model name with a letter beyond ASCII is refused" {
  refuse_name 'modèle'
}

@test "a model name in another alphabet is refused" {
  refuse_name 'модель'
}

@test "a model name of 300 characters is refused" {
  refuse_name "$(characters 300)"
}

@test "a model name of 64 characters is refused" {
  refuse_name "$(characters 64)"
}

@test "a model name of 63 characters is taken" {
  accept "${INPUTS[@]}" "$(characters 63)"
}

@test "a model name with a capital letter is refused" {
  refuse_name 'Model'
}

@test "a model name that starts with a dot is refused" {
  refuse_name '.hidden'
}

@test "a model name that starts with a hyphen is refused, even after --" {
  refuse 'model name -rf' -- "${INPUTS[@]}" -rf
}

@test "an empty model name is refused" {
  refuse_name ''
}

@test "a model name with two dots in a row is refused" {
  refuse_name 'a..b'
}

@test "a model name of all characters that are allowed is taken" {
  accept "${INPUTS[@]}" 'a0_b-c.d'
}

@test "a model cannot be named text_preprocessing" {
  refuse_name text_preprocessing
}

@test "a model cannot be named model_onnx" {
  refuse_name model_onnx
}

@test "a model cannot be named post_processing" {
  refuse_name post_processing
}

@test "a model name that no image can have is refused" {
  refuse 'image triton_a-:latest' "${INPUTS[@]}" a-
}

@test "a model name that no image can have is taken with --image" {
  accept --image other:1 "${INPUTS[@]}" a-
}

@test "an empty container tag is refused" {
  refuse_tag ''
}

@test "a container tag with a space is refused" {
  refuse_tag 'a b'
}

@test "a container tag with a slash is refused" {
  refuse_tag 'a/b'
}

@test "a container tag with a colon is refused" {
  refuse_tag 'a:b'
}

@test "a container tag that starts with a dot is refused" {
  refuse_tag '.1'
}

@test "a container tag that starts with a hyphen is refused" {
  refuse 'container tag -1' -- "${INPUTS[@]}" name -1
}

@test "a container tag with a command substitution is refused and runs nothing" {
  # shellcheck disable=SC2016
  refuse_tag '$(touch canary)'
  assert_not_exists canary
}

@test "a container tag with a line break is refused in one line" {
  refuse_tag $'a\nb'
}

@test "a container tag of 129 characters is refused" {
  refuse_tag "$(characters 129)"
}

@test "the batch size 0 is refused" {
  refuse_batch_size 0
}

@test "the batch size -1 is refused" {
  refuse 'max batch size -1' -- "${INPUTS[@]}" name tag -1
}

@test "a batch size of letters is refused" {
  refuse_batch_size abc
}

@test "a batch size with a fraction is refused" {
  refuse_batch_size 4.5
}

@test "the batch size 99999 is refused" {
  refuse_batch_size 99999
}

@test "the batch size 1025 is refused" {
  refuse_batch_size 1025
}

@test "an empty batch size is refused" {
  refuse_batch_size ''
}

@test "a batch size with a leading zero is refused" {
  refuse_batch_size 08
}

@test "a batch size that the shell would evaluate is refused and runs nothing" {
  # shellcheck disable=SC2016
  refuse_batch_size 'a[$(touch canary)]'
  assert_not_exists canary
}

@test "the longest tag, the largest batch size and the smallest length are taken" {
  accept --max-length 1 "${INPUTS[@]}" name "$(characters 128)" 1024
}

@test "--max-length takes a number from 1 to 999999" {
  take_values --max-length 1 512 999999
  refuse_values --max-length 'a number from 1 to 999999' 1000000 007 ' 5' '5 ' 0x10
}

@test "--max-length 0 is refused" {
  refuse --max-length --max-length 0 "${INPUTS[@]}"
}

@test "--max-length -1 is refused" {
  refuse --max-length --max-length -1 "${INPUTS[@]}"
}

@test "--max-length with letters is refused" {
  refuse --max-length --max-length 12x "${INPUTS[@]}"
}

@test "--max-length with a fraction is refused" {
  refuse --max-length --max-length 1.5 "${INPUTS[@]}"
}

@test "--max-length with a line break is refused in one line" {
  refuse --max-length --max-length $'1\n2' "${INPUTS[@]}"
}

@test "an unknown exporter is refused" {
  refuse_values --exporter 'auto, torchscript, dynamo or optimum' foo Auto autodynamo 'auto|dynamo'
}

@test "each exporter of the common environment is taken" {
  take_values --exporter auto torchscript dynamo
}

@test "an unknown function is refused" {
  refuse_values --function 'softmax, sigmoid or none' tanh Softmax softmaxx xnone 'softmax|none' ' softmax'
}

@test "each function is taken" {
  take_values --function softmax sigmoid none
}

@test "a function with a line break behind it is refused in one line" {
  refuse_value --function $'softmax\n' 'softmax, sigmoid or none'
}

@test "--top-k takes a number from 1 to 999999" {
  take_values --top-k 1 999999
  refuse_values --top-k 'a number from 1 to 999999' 1000000 0 -1 all 1.5 01
}

@test "a --top-k that the shell would evaluate is refused and runs nothing" {
  # shellcheck disable=SC2016
  refuse_value --top-k 'a[$(touch canary)]' 'a number from 1 to 999999'
  assert_not_exists canary
}

@test "an unknown treatment of long texts is refused" {
  refuse_values --long-text 'truncate, head-tail or window' windows head tail head_tail
}

@test "each treatment of long texts is taken" {
  take_values --long-text truncate head-tail window
}

@test "--stride takes a number from 0 to 999999" {
  take_values --stride 0 1 999999
  refuse_values --stride 'a number from 0 to 999999' 1000000 -1 00 01 1.5 x
}

@test "an unknown way to merge is refused" {
  refuse_values --merge 'mean or max' min meanmax MAX
}

@test "each way to merge is taken" {
  take_values --merge mean max
}

@test "--max-windows takes a number from 1 to 9999" {
  take_values --max-windows 1 9999
  refuse_values --max-windows 'a number from 1 to 9999' 10000 0 -1 1.5 x
}

@test "--tolerance takes a number over 0" {
  take_values --tolerance 0.0001 1e-4 1E-4 2.5e-3 1.0e-3 .5 1 1. 1.0 1e+1 10 0.10
  refuse_values --tolerance 'a number over 0' 0 0.0 .0 0e5 1e-400 -1 -0.1 1e e-4 1,5 1e-4x nan inf small
}

@test "--threshold takes whatever is not empty" {
  # shellcheck disable=SC2016
  take_values --threshold 0 0.5 'my thresholds.json' '$(touch canary)' $'two\nlines' 'модель.json'
  assert_not_exists canary
}

@test "a wrong value is shown up to its 80th character" {
  refuse --merge --merge "$(characters 300)" "${INPUTS[@]}"
  assert_equal "$stderr" "error: --merge: must be mean or max, not $(characters 80) (see --help)"
}

@test "a wrong value with a terminal escape is shown quoted" {
  refuse_value --merge $'a\e[2Jb' 'mean or max'
  refute_regex "$stderr" $'\e'
}

@test "an unknown engine is refused" {
  refuse --engine --engine foo "${INPUTS[@]}"
}

@test "an image with a capital letter is refused" {
  refuse_image 'Image'
}

@test "an image with a space is refused" {
  refuse_image 'a b'
}

@test "an image with two tags is refused" {
  refuse_image 'a:b:c'
}

@test "an image with an empty tag is refused" {
  refuse_image 'a:'
}

@test "an image with a digest is refused" {
  refuse_image 'a@sha256:0123456789012345678901234567890123456789012345678901234567890123'
}

@test "an image with an empty part is refused" {
  refuse_image 'a//b'
}

@test "an image that looks like an option is refused" {
  refuse_image '--help'
}

@test "an image with a command substitution is refused and runs nothing" {
  # shellcheck disable=SC2016
  refuse_image '$(touch canary)'
  assert_not_exists canary
}

@test "an image at a registry with a port is taken" {
  accept --image registry.example:5000/team/name:1.0 "${INPUTS[@]}"
}

@test "--verify-only takes no option of a build with a value" {
  local option
  for option in --output --image --ca-file --where-{model,tokenizer,labels}; do
    refuse_with_verify_only "$option" value
  done
}

@test "--verify-only takes no switch of a build" {
  local option
  for option in --no-image --pairs --offline --allow-pickle; do
    refuse_with_verify_only "$option"
  done
}

@test "--verify-only takes no option of the conversion" {
  local option
  for option in $(table_options); do
    refuse_with_verify_only "$option" 1
  done
}

@test "--verify-only takes no option of the target" {
  local option
  for option in $(target_options); do
    refuse_with_verify_only "$option" cuda
  done
}

@test "an argument with --verify-only is told before its options" {
  refuse folder --verify-only triton_cls:1 --no-image folder
}

@test "an option for a file does not take another option for its name" {
  local option
  for option in --threshold --samples --labelled; do
    refuse "$option" "$option" --quiet "${INPUTS[@]}"
  done
}
