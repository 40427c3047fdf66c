#!/usr/bin/env bash
# Stands in for the Python of the virtual environment: makes the files that the scripts of utils/
# would make. A reference with the word unfetchable cannot be fetched; STUB_PROGRESS is what the fetch
# tells of its progress. The hardware nonesuch is unknown; STUB_LACKS is what this machine has not of
# any other. STUB_OMIT names a file that the conversion leaves out, STUB_ADD those that it makes too,
# STUB_UNSET a variable of the template that stays unset.
set -euo pipefail
# shellcheck source=tests/shell/stubs/stub.bash
source "${BASH_SOURCE[0]%/*}/stub.bash"
shopt -s extglob
readonly SCRIPT="${1##*/}" ROOT="${1%/utils/*}"
shift

# value_or DEFAULT OPTION [ARGUMENT ...]: as value_after
value_or() {
  value_after "${@:2}"
  VALUE="${VALUE:-"$1"}"
}

# As the real one, but that it does not look at the machine; cpu in fp32 is the one plain target.
choose_target() {
  local hardware precision server release='' platform registry gpu=0 plain=0 foreign=0 lacks="${STUB_LACKS:-}"
  local slim_base='' providers=''
  value_or cpu --hardware "$@"
  hardware="$VALUE"
  [[ "$hardware" != nonesuch ]] || {
    printf "error: --hardware 'nonesuch': no such profile (possible: cpu, cuda)\n" >&2
    exit 2
  }
  case "$hardware" in
    cuda | tensorrt) value_or fp16 --precision "$@" && gpu=1 ;;
    *) value_or fp32 --precision "$@" ;;
  esac
  case "$hardware" in
    cuda) providers=cuda ;;
    tensorrt) providers='cuda tensorrt' ;;
  esac
  precision="${VALUE/#auto/int8 fp32}"
  [[ "$hardware $precision" != 'cpu fp32' ]] || plain=1
  value_or embedded --server "$@"
  server="${VALUE%%:*}"
  [[ "$server" != ngc-slim ]] || slim_base=ubuntu:24.04
  if [[ "$server" != embedded ]]; then
    release="${VALUE#"$server"}"
    release="${release#:}"
    release="${release:-26.08}"
  fi
  value_or linux/amd64 --platform "$@"
  platform="$VALUE"
  [[ "$platform" == linux/amd64 ]] || foreign=1 lacks='this machine is linux/amd64'
  value_after --registry "$@"
  registry="$VALUE"
  printf '%s=%q\n' HARDWARE "$hardware" EMBEDDED "${STUB_EMBEDDED-$hardware}" PLAIN "$plain" \
    PRECISIONS "$precision" GPU "$gpu" FOREIGN "$foreign" LACKS "$lacks" PLATFORM "$platform" SERVER "$server" \
    SERVER_RELEASE "$release" DOCKERFILE "$ROOT/server/$server/Dockerfile" SLIM_BASE "$slim_base" \
    PROVIDERS "$providers"
  if [[ "$server" == embedded ]]; then
    printf '%s=%q\n' BASE_IMAGE "${registry:+"$registry/library/"}debian:12-slim" \
      BASE_SUITE "$([[ -n "$registry" ]] || printf bookworm)" \
      BASE_PACKAGES 'libpython3.11 libstdc++6 python3.11-minimal tini zlib1g'
  else
    printf '%s=%q\n' BASE_IMAGE "${registry:-nvcr.io}/nvidia/tritonserver:$release-py3" \
      BASE_SUITE '' BASE_PACKAGES ''
  fi
}

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
  for file in model.onnx tokenizer.json id2label.json report.json reference.json selftest.json ${STUB_ADD:-}; do
    [[ "$file" == "${STUB_OMIT:-}" ]] || printf 'stub %s\n' "$file" >"$folder/$file"
  done
  value_after --labelled "$@"
  [[ -z "$VALUE" ]] || printf 'stub accuracy\n' >>"$folder/report.json"
}

set_precision() {
  need_report "${*: -2:1}"
  cp -R -- "${*: -2:1}" "${!#}"
  printf 'stub precision\n' >>"${!#}/report.json"
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
  # All that templates may name
  while read -r name; do
    [[ "$name" == "${STUB_UNSET:-}" ]] || printf "%s='stub %s'\n" "$name" "$name"
  done < <(sed -n '/^readonly VARIABLES=(/,/^)/s/^ \+//p' "$ROOT/process_template.sh")
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

case "$SCRIPT" in
  verify_answers.py) wait_for_server "$@" ;;
  set_precision.py)
    # It tells what it saw whether that will do or not.
    value_after --details "$@"
    printf '┃ 26 texts in fp16 ┃\n│ stub agreement   │\n' >"$VALUE"
    ;;
esac
record "$SCRIPT" python "$SCRIPT" "$@"
case "$SCRIPT" in
  choose_target.py) choose_target "$@" ;;
  certificates.py)
    grep -q -s 'BEGIN CERTIFICATE' -- "${!#}" || {
      printf 'error: %s: holds no certificates in PEM\n' "${!#}" >&2
      exit 1
    }
    value_after --output "$@"
    { printf 'public\n' && cat -- "${!#}"; } >"$VALUE"
    ;;
  fetch.py) fetch "$@" ;;
  convert_to_onnx.py) convert "$@" ;;
  show_accuracy.py)
    need_report "${!#}" accuracy
    value_after --output "$@"
    printf '┃ 2 labelled texts ┃\n│ stub accuracy    │\n' >"$VALUE"
    ;;
  set_precision.py) set_precision "$@" ;;
  describe_hardware.py)
    need_report "${*: -2:1}"
    value_after --hardware "$@"
    printf '{\n  "hardware": "%s"\n}\n' "$VALUE" >"${!#}/hardware.json"
    ;;
  bill_of_materials.py)
    value_after --output "$@"
    printf 'stub bill\n' >"$VALUE"
    ;;
  describe_api.py) printf '{}\n' | tee -- "$1/front.json" >"$1/openapi.json" ;;
  template_variables.py)
    need_report "${*: -3:1}"
    value_after --output "$@"
    template_variables "$@" >"$VALUE"
    ;;
  join_steps.py | lint_repository.py | verify_answers.py) ;;
  tune.py)
    value_after --table "$@"
    printf '| stub settings | 2.0, 1.0 |\nchosen: stub settings\n' >"$VALUE"
    printf 'stub tuning\n' >>"${!#}/report.json"
    ;;
  free_ports.py) printf '%s\n' $((10000 + $$ % 10000)) $((20000 + $$ % 10000)) $((9000 + $$ % 1000)) ;;
  embedded_server.py) printf '%s\n' "$STUB_SERVER" ;;
  server_files.py) mkdir -p -- "${!#}" ;;
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
