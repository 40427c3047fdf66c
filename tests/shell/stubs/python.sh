#!/usr/bin/env bash
# Stands in for the Python of the virtual environment: makes the files that the scripts of utils/
# would make. A reference with the word unfetchable cannot be fetched; STUB_PROGRESS is what the fetch
# tells of its progress. STUB_OMIT names a file that the conversion leaves out, STUB_ADD those that it
# makes too, STUB_UNSET a variable of the template that stays unset.
set -euo pipefail
# shellcheck source=tests/shell/stubs/stub.bash
source "${BASH_SOURCE[0]%/*}/stub.bash"
shopt -s extglob
readonly SCRIPT="${1##*/}"
shift

# The three references, one a line, are what is fetched.
fetch() {
  local option references=()
  for option in --model --tokenizer --labels; do
    value_after "$option" "$@"
    [[ -n "$VALUE" ]] || exit 2
    [[ "$VALUE" != *unfetchable* ]] || {
      printf 'asking\nerror: %s: not there (a hint)\n' "$VALUE" >&2
      exit 1
    }
    references+=("$VALUE")
  done
  # Only the other two may be the model's own.
  [[ "${references[0]}" != - ]] || {
    printf 'error: -: no such folder (a folder with a fine-tuned sequence classifier)\n' >&2
    exit 1
  }
  if [[ -n "${STUB_PROGRESS:-}" ]]; then
    value_after --progress "$@"
    printf '%s\n' "$STUB_PROGRESS" >"$VALUE"
    sleep 0.5
  fi
  value_after --output "$@"
  printf 'stub source: %s\n' "${references[@]}" >"$VALUE"
}

# need_sources [ARGUMENT ...]: all that the conversion knows of what it converts
need_sources() {
  value_after --sources "$@"
  grep -q -s '^stub source: ' "$VALUE" || {
    printf 'error: %s: absent or damaged (run utils/fetch.py again)\n' "$VALUE" >&2
    exit 1
  }
}

convert() {
  local folder file
  need_sources "$@"
  value_after --save-dir "$@"
  folder="$VALUE"
  mkdir -p -- "$folder/warmup"
  printf 'stub warm-up\n' >"$folder/warmup/input_ids"
  for file in model.onnx tokenizer.json id2label.json report.json reference.json ${STUB_ADD:-}; do
    [[ "$file" == "${STUB_OMIT:-}" ]] || printf 'stub %s\n' "$file" >"$folder/$file"
  done
  value_after --labelled "$@"
  [[ -z "$VALUE" ]] || printf 'stub accuracy\n' >>"$folder/report.json"
}

# need_report ARTIFACTS [WORD]: as the real ones, which read it
need_report() {
  grep -q -s -F -- "${2:-stub}" "$1/report.json" || {
    printf 'error: %s: absent or damaged\n' "$1/report.json" >&2
    exit 1
  }
}

template_variables() {
  local name
  for name in CLASS_COUNT TOP_K FUNCTION PROBLEM_TYPE LONG_TEXT MAX_WINDOWS TEXT_TENSORS \
    TEXT_INPUT_MAP TOKEN_TENSORS TOKEN_OUTPUT_MAP TOKEN_INPUT_MAP LOGITS_NAME LOGITS_TENSOR \
    WARMUP_INPUTS; do
    [[ "$name" == "${STUB_UNSET:-}" ]] || printf "%s='stub %s'\n" "$name" "$name"
  done
  printf "MODEL_NAME='%s'\nMAX_BATCH_SIZE=%s\n" "${*: -2:1}" "${*: -1}"
}

# As the real one, it has nothing to say before the server at the port that it asks is up.
wait_for_server() {
  local port tries
  value_after --http "$@"
  port="${VALUE##*:}"
  for ((tries = 0; tries < 1000; tries++)); do
    if [[ "$(<"$STUB_FOLDER/calls")" == *@(":$port:8000 "|"--http-port=$port ")* ]]; then
      return 0
    fi
    sleep 0.02
  done
  return 1
}

key="$SCRIPT"
[[ "$*" != *'--for image'* ]] || key+=' for image'
[[ "$SCRIPT" != verify_answers.py ]] || wait_for_server "$@"
record "$key" python "$SCRIPT" "$@"
case "$SCRIPT" in
  fetch.py) fetch "$@" ;;
  convert_to_onnx.py) convert "$@" ;;
  show_accuracy.py)
    need_report "${!#}" accuracy
    value_after --output "$@"
    printf '┃ 2 labelled texts ┃\n│ stub accuracy    │\n' >"$VALUE"
    ;;
  template_variables.py)
    need_report "${*: -3:1}"
    value_after --output "$@"
    template_variables "$@" >"$VALUE"
    ;;
  lint_repository.py | verify_answers.py) ;;
  free_ports.py) printf '%s\n' $((10000 + $$ % 10000)) $((20000 + $$ % 10000)) $((9000 + $$ % 1000)) ;;
  embedded_server.py)
    value_after --copy-to "$@"
    if [[ -n "$VALUE" ]]; then
      mkdir -p -- "$VALUE"
    else
      printf '%s\n' "$STUB_SERVER"
    fi
    ;;
  keep_folder.py)
    mkdir -p -- "$2"
    cp -R -- "$1/." "$2/"
    ;;
  image_labels.py)
    need_report "${*: -3:1}"
    value_after --output "$@"
    printf 'stub.label=one\nstub.words=two words\n' >"$VALUE"
    ;;
  *) exit 2 ;;
esac
