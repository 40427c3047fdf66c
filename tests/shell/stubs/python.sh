#!/usr/bin/env bash
# Stands in for the Python of the virtual environment: makes the files that the scripts of utils/
# would make. STUB_OMIT names one that the conversion leaves out, STUB_ADD one that it makes too,
# STUB_UNSET a variable of the template that stays unset.
set -euo pipefail
# shellcheck source=tests/shell/stubs/stub.bash
source "${BASH_SOURCE[0]%/*}/stub.bash"
shopt -s extglob
readonly SCRIPT="${1##*/}"
shift

convert() {
  local folder="$1" file
  mkdir -p -- "$folder"
  for file in model.onnx tokenizer.json id2label.json reference.json ${STUB_ADD:+"$STUB_ADD"}; do
    [[ "$file" == "${STUB_OMIT:-}" ]] || printf 'stub %s\n' "$file" >"$folder/$file"
  done
}

template_variables() {
  local name
  for name in CLASS_COUNT FUNCTION TOKEN_TENSORS TOKEN_OUTPUT_MAP TOKEN_INPUT_MAP LOGITS_NAME \
    LOGITS_TENSOR WARMUP_INPUTS; do
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
  convert_to_onnx.py)
    value_after --save-dir "$@"
    convert "$VALUE"
    ;;
  template_variables.py)
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
    value_after --output "$@"
    printf 'stub.label=one\nstub.words=two words\n' >"$VALUE"
    ;;
  *) exit 2 ;;
esac
