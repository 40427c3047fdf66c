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

refuse_image() {
  refuse "image $(printf '%q' "$1")" --image "$1" "${INPUTS[@]}"
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

@test "an option with = is refused" {
  refuse --output=folder --output=folder "${INPUTS[@]}"
}

@test "each option that takes a value is refused without one" {
  local option
  for option in --output --max-length --samples --exporter --image --engine; do
    refuse "$option" "${INPUTS[@]}" "$option"
  done
}

@test "an empty value of an option is refused" {
  refuse --output --output '' "${INPUTS[@]}"
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

@test "--max-length of seven digits is refused" {
  refuse --max-length --max-length 1000000 "${INPUTS[@]}"
}

@test "an unknown exporter is refused" {
  refuse --exporter --exporter foo "${INPUTS[@]}"
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
