#!/usr/bin/env bash
# Stands in for the Python of the virtual environment: makes the files that the scripts of utils/
# would make. STUB_OMIT names one that the conversion leaves out, STUB_ADD those that it makes too,
# STUB_UNSET a variable of the template that stays unset.
set -euo pipefail
# shellcheck source=tests/shell/stubs/stub.bash
source "${BASH_SOURCE[0]%/*}/stub.bash"
shopt -s extglob
readonly SCRIPT="${1##*/}"
shift

convert() {
  local folder file
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
