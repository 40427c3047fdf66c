#!/usr/bin/env bash
# From a fine-tuned text classifier to a tested, self-contained Triton image.
set -Eeuo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=lib/log.sh
source "$ROOT/lib/log.sh"
# shellcheck source=lib/step.sh
source "$ROOT/lib/step.sh"
# shellcheck source=lib/processes.sh
source "$ROOT/lib/processes.sh"
# shellcheck source=lib/model_name.sh
source "$ROOT/lib/model_name.sh"
# shellcheck source=lib/engine.sh
source "$ROOT/lib/engine.sh"
# shellcheck source=lib/arguments.sh
source "$ROOT/lib/arguments.sh"

readonly VERSION='0.1.0'
readonly TEMPLATE="$ROOT/model_repository"

# Whether a reference is a folder or a file of the user's, and no archive
is_path() {
  local reference="$1" where="$2"
  [[ "$reference" != - && "${where:-local}" == local ]] || return 1
  [[ ! "$reference" =~ ^[a-z][a-z0-9+.-]*://. ]] || return 1
  case "$reference" in
    *.zip | *.tar | *.tar.gz | *.tgz) return 1 ;;
  esac
}

# What can be seen before anything is written or started
check_inputs() {
  if is_path "$MODEL" "$WHERE_MODEL"; then
    [[ -d "$MODEL" ]] || die "$MODEL" 'no such folder' 'MODEL is a folder with a fine-tuned checkpoint'
  fi
  if is_path "$TOKENIZER" "$WHERE_TOKENIZER"; then
    [[ -d "$TOKENIZER" ]] || die "$TOKENIZER" 'no such folder' 'TOKENIZER is a folder with tokenizer files'
  fi
  if is_path "$LABELS" "$WHERE_LABELS"; then
    [[ -f "$LABELS" ]] || die "$LABELS" 'no such file' 'ID2LABEL is a JSON file'
  fi
  local option file
  for option in --samples --labelled; do
    file="${CONVERSION["$option"]-}"
    [[ -z "$file" || -f "$file" ]] || die "$file" 'no such file' "$option takes a file of texts"
  done
  if [[ -n "$OUTPUT" && -e "$OUTPUT" && -n "$(ls -A -- "$OUTPUT" 2>/dev/null || printf x)" ]]; then
    die "$OUTPUT" 'exists and is not an empty folder' 'choose another or remove it'
  fi
  [[ -z "$SBOM" || ! -e "$SBOM" ]] || die "$SBOM" 'exists' 'choose another or remove it'
  require_command envsubst gettext-base
  PYTHON="$(find_python)"
  CONVERT_PYTHON="$PYTHON"
  if [[ "${CONVERSION[--exporter]-}" == optimum ]]; then
    # Its transformers is too old for the rest, so it has an environment of its own.
    CONVERT_PYTHON="$ROOT/.venv-optimum/bin/python"
    [[ -x "$CONVERT_PYTHON" ]] || die "$CONVERT_PYTHON" 'not found' 'run make setup-optimum first'
  fi
  choose_target
  [[ "$TUNE" == 0 ]] || check_tunable
  ENGINE=''
  if [[ "$NO_IMAGE" == 0 ]]; then
    ENGINE="$(find_engine "$WANTED_ENGINE")"
  fi
}

# What is best for another server or machine, this one cannot measure.
check_tunable() {
  [[ "$SERVER" == embedded ]] ||
    usage_error --tune "not with --server $SERVER, which is not measured here" 'docs/tuning.md'
  [[ -z "$LACKS" ]] || usage_error --tune "cannot be measured here, $LACKS" 'tune where it will run'
}

# Settles what the image is for: sets HARDWARE, PRECISIONS, PLATFORM, SERVER … (choose_target.py)
choose_target() {
  local option words=()
  for option in "${TARGET_OPTIONS[@]}"; do
    [[ -z "${TARGET["$option"]-}" ]] || words+=("$option" "${TARGET["$option"]}")
  done
  TARGET_TEXT="$("$PYTHON" "$ROOT/utils/choose_target.py" "${words[@]}")" || exit
  # Not over the environment's, which may name another one for utils/base_image.sh.
  # shellcheck disable=SC2034
  local BASE_IMAGE
  # shellcheck source=/dev/null
  source /dev/stdin <<<"$TARGET_TEXT"
  # For lib/engine.sh and utils/gate.sh
  export HARDWARE EMBEDDED SERVER LACKS GPU
}

prepare_work() {
  if [[ "$DRY_RUN" == 1 ]]; then
    WORK="$ROOT/build/$MODEL_NAME.XXXXXX"
  else
    mkdir -p -- "$ROOT/build" 2>/dev/null || die "$ROOT/build" 'cannot be created'
    WORK="$(mktemp -d -- "$ROOT/build/$MODEL_NAME.XXXXXX" 2>/dev/null)" ||
      die "$ROOT/build" 'cannot be written'
  fi
  # Not the final name: nothing gets that before its answers were compared.
  local suffix="${WORK##*.}"
  CANDIDATE="triton_candidate:$suffix"
  [[ "$ENGINE" == docker ]] || CANDIDATE="localhost/$CANDIDATE"
  LOG_FILE="$WORK/build.log"
  export TENSORRT_ENGINES="$WORK/engines"
  [[ "$DRY_RUN" == 0 ]] || return 0

  printf '%s\n' "$TARGET_TEXT" >"$WORK/target.env"
  mkdir -m 1777 -- "$TENSORRT_ENGINES"

  trap finish EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  setsid "$ROOT/lib/guard.sh" $$ "$ENGINE" "$WORK" "$CANDIDATE" "$KEEP" >/dev/null 2>&1 &
  GUARD_PID=$!
  trust_certificates
}

# Everything that asks the network takes the user's certificates beside the system's.
trust_certificates() {
  [[ -n "$CA_FILE" ]] || return 0
  local folder="$WORK/context/certificates/usr/local/share/ca-certificates"
  mkdir -p -- "$folder"
  cp -- "$CA_FILE" "$folder/own.crt"
  "$PYTHON" "$ROOT/utils/certificates.py" --output "$WORK/certificates.pem" -- "$CA_FILE"
  export SSL_CERT_FILE="$WORK/certificates.pem"
  export PIP_CERT="$SSL_CERT_FILE" REQUESTS_CA_BUNDLE="$SSL_CERT_FILE" \
    CURL_CA_BUNDLE="$SSL_CERT_FILE" AWS_CA_BUNDLE="$SSL_CERT_FILE"
}

finish() {
  local status=$?
  trap - EXIT
  if [[ -n "${STEP_PID:-}" ]]; then
    end_processes "-$STEP_PID"
  fi
  [[ "$status" -lt 128 ]] || printf 'error: build: interrupted\n' >&2
  remove_candidate "$CANDIDATE"
  if [[ "$KEEP" == 1 ]]; then
    log "work folder kept: $WORK"
  else
    # A container may have left files of another user there.
    rm -rf -- "$WORK" 2>/dev/null || log "not all of it can be removed: $WORK"
  fi
  kill "$GUARD_PID" 2>/dev/null || true
  exit "$status"
}

fetch() {
  local options=()
  [[ -z "$WHERE_MODEL" ]] || options+=(--where-model "$WHERE_MODEL")
  [[ -z "$WHERE_TOKENIZER" ]] || options+=(--where-tokenizer "$WHERE_TOKENIZER")
  [[ -z "$WHERE_LABELS" ]] || options+=(--where-labels "$WHERE_LABELS")
  [[ "$OFFLINE" == 0 ]] || options+=(--offline)
  [[ "$ALLOW_PICKLE" == 0 ]] || options+=(--allow-pickle)
  step 'fetch model, tokenizer, labels' \
    "$PYTHON" "$ROOT/utils/fetch.py" --model "$MODEL" --tokenizer "$TOKENIZER" --labels "$LABELS" \
    --output "$WORK/sources.json" --progress "$WORK/progress" "${options[@]}"
}

convert() {
  local option options=(--cache "$ROOT/.cache/conversions")
  [[ "$PAIRS" == 0 ]] || options+=(--pairs)
  for option in "${!CONVERSION_VALUES[@]}"; do
    [[ -z "${CONVERSION["$option"]-}" ]] || options+=("$option" "${CONVERSION["$option"]}")
  done
  step 'export to ONNX, compare with the original' \
    "$CONVERT_PYTHON" "$ROOT/utils/convert_to_onnx.py" --sources "$WORK/sources.json" \
    --save-dir "$WORK/model" "${options[@]}"
  ARTIFACTS="$WORK/model"
  [[ "$PLAIN" == 1 ]] || set_precision
  if [[ -n "${CONVERSION[--labelled]-}" ]]; then
    step 'accuracy on the labelled texts' \
      "$PYTHON" "$ROOT/utils/show_accuracy.py" --output "$WORK/details" "$ARTIFACTS"
  fi
}

set_precision() {
  local names options=()
  read -ra names <<<"$PRECISIONS"
  [[ -z "${CONVERSION[--labelled]-}" ]] || options+=(--labelled "${CONVERSION[--labelled]}")
  [[ -z "$LACKS" ]] || options+=(--lacks "$LACKS")
  ARTIFACTS="$WORK/model.$HARDWARE"
  step "${PRECISIONS// / or } on $HARDWARE, compare with fp32" \
    "$PYTHON" "$ROOT/utils/set_precision.py" --hardware "$HARDWARE" --precisions "${names[@]}" \
    --max-batch-size "$MAX_BATCH_SIZE" --details "$WORK/details" --cache "$ROOT/.cache" \
    "${options[@]}" -- "$WORK/model" "$ARTIFACTS"
}

render() {
  step 'read the graph' \
    "$PYTHON" "$ROOT/utils/template_variables.py" --output "$WORK/variables.env" \
    --hardware "$HARDWARE" --release "$SERVER_RELEASE" \
    "$ARTIFACTS" "$MODEL_NAME" "$MAX_BATCH_SIZE"
  step 'render the model repository' \
    "$ROOT/process_template.sh" --variables "$WORK/variables.env" "$TEMPLATE" "$REPOSITORY"
  step 'add the model' \
    "$ROOT/utils/fill_repository.sh" "$ARTIFACTS" "$REPOSITORY"
  # shellcheck disable=SC2153
  step 'say what hardware it is for' \
    "$PYTHON" "$ROOT/utils/describe_hardware.py" --hardware "$HARDWARE" --server "$SERVER" \
    "$ARTIFACTS" "$REPOSITORY"
  step 'join the steps, for the embedded server' \
    "$PYTHON" "$ROOT/utils/join_steps.py" "$REPOSITORY"
  step 'describe the interface' \
    "$PYTHON" "$ROOT/utils/describe_api.py" "$REPOSITORY"
}

verify_repository() {
  step 'lint the repository' \
    "$PYTHON" "$ROOT/utils/lint_repository.py" "$REPOSITORY"
  [[ "$TUNE" == 0 ]] || tune
  step 'serve it, compare answers' \
    "$ROOT/utils/gate.sh" "$MODEL_NAME" "$ARTIFACTS/reference.json" repository "$REPOSITORY"
}

tune() {
  local options=()
  [[ -z "${CONVERSION[--samples]-}" ]] || options+=(--samples "${CONVERSION[--samples]}")
  [[ -z "$LATENCY_BUDGET" ]] || options+=(--latency-budget-ms "$LATENCY_BUDGET")
  [[ -z "$TUNE_BUDGET" ]] || options+=(--budget-s "$TUNE_BUDGET")
  step 'tune it on this machine' \
    "$PYTHON" "$ROOT/utils/tune.py" --table "$WORK/details" --progress "$WORK/progress" \
    --plot "$WORK/tuning.png" "${options[@]}" "$REPOSITORY"
}

keep_repository() {
  step 'keep the repository' \
    "$PYTHON" "$ROOT/utils/keep_folder.py" "$REPOSITORY" "$OUTPUT"
}

build_image() {
  step 'base image' \
    "$ROOT/utils/base_image.sh" "$ENGINE" "$WORK/target.env" "$WORK/base_image"
  # shellcheck disable=SC2153
  step 'lay out the server' \
    "$PYTHON" "$ROOT/utils/server_files.py" --server "$SERVER" --hardware "$HARDWARE" \
    --platform "$PLATFORM" "$WORK/context/server"
  step 'image labels' \
    "$PYTHON" "$ROOT/utils/image_labels.py" --output "$WORK/labels" --hardware "$HARDWARE" \
    --server "$SERVER" --release "$SERVER_RELEASE" --lacks "$LACKS" \
    "$ARTIFACTS" "$MODEL_NAME" "$VERSION"
  step 'build the image' \
    "$ROOT/utils/build_image.sh" "$ENGINE" "$WORK/target.env" "$WORK/base_image" "$WORK/labels" \
    "$WORK/context" "$CANDIDATE"
  step 'list what is in it' \
    "$ROOT/utils/add_bill_of_materials.sh" "$ENGINE" "$WORK/target.env" "$WORK/context" "$MODEL_NAME" \
    "$VERSION" "$CANDIDATE" "$WORK/contents"
  [[ "$FOREIGN" == 1 ]] ||
    step 'run the image, compare answers' \
      "$ROOT/utils/gate.sh" "$MODEL_NAME" "$ARTIFACTS/reference.json" image "$ENGINE" "$CANDIDATE"
  # TensorRT's, of a build on the GPU that they are for.
  if [[ -n "$(ls -A -- "$TENSORRT_ENGINES" 2>/dev/null)" ]]; then
    STEP_COUNT=$((STEP_COUNT + 1))
    mark_verified "$CANDIDATE"
  fi
  [[ -z "$SBOM" ]] ||
    step 'keep the list' \
      mv --no-clobber -- "$WORK/contents/sbom.cdx.json" "$SBOM"
  step 'tag' \
    "$ENGINE" tag "$CANDIDATE" "$IMAGE"
}

mark_verified() {
  step 'keep what was built and checked here' \
    "$ROOT/utils/mark_verified.sh" "$ENGINE" "$1" "$TENSORRT_ENGINES" "$WORK/verified"
}

# An image that was built on a machine without its hardware, on one that has it
verify_only() {
  local labels='triton-image' hardware precision server release
  PYTHON="$(find_python)"
  ENGINE="$(find_engine "$WANTED_ENGINE")"
  engine_has_image "$IMAGE" || die "$IMAGE" "no such image in $ENGINE" "$ENGINE pull it first"
  MODEL_NAME="$(engine_label "$IMAGE" org.opencontainers.image.title)"
  hardware="$(engine_label "$IMAGE" "$labels.hardware")"
  precision="$(engine_label "$IMAGE" "$labels.precision")"
  server="$(engine_label "$IMAGE" "$labels.server")"
  release="$(engine_label "$IMAGE" "$labels.triton.release")"
  [[ -n "$hardware" && -n "$server" && -z "$(model_name_problem "$MODEL_NAME" "$TEMPLATE")" ]] ||
    die "$IMAGE" 'was not made by make_triton_image.sh'
  [[ "$server" == embedded ]] || server+=":$release"
  TARGET=([--hardware]="$hardware" [--precision]="$precision" [--server]="$server")
  choose_target
  [[ -z "$LACKS" ]] || die "$IMAGE" "cannot be verified here: $LACKS"
  STEP_COUNT=3
  prepare_work
  step 'take its self-test out' \
    "$ROOT/utils/read_image_file.sh" "$ENGINE" "$IMAGE" /models/selftest.json "$WORK/selftest.json"
  step 'run the image, compare answers' \
    "$ROOT/utils/gate.sh" "$MODEL_NAME" "$WORK/selftest.json" image "$ENGINE" "$IMAGE"
  mark_verified "$IMAGE"
  [[ "$DRY_RUN" == 1 ]] || printf '%s\n' "$IMAGE"
}

# buildah builds images that podman runs.
serving_engine() {
  if [[ "$ENGINE" == buildah ]]; then
    printf 'podman'
  else
    printf '%s' "$ENGINE"
  fi
}

# What the image needs of `docker run`, with a space behind
run_words() {
  local engine
  if [[ "$GPU" == 1 ]]; then
    engine="$(serving_engine)"
    ENGINE="$engine" set_gpu_options
    printf '%s ' "${GPU_OPTIONS[*]}"
  fi
  # NVIDIA's Python backend passes tensors through shared memory.
  [[ "$SERVER" == embedded ]] || printf '%s ' --shm-size=256m
}

main() {
  parse_arguments "$@"
  check_arguments
  if [[ -n "$VERIFY_ONLY" ]]; then
    verify_only
    return 0
  fi
  check_inputs
  STEP_COUNT=10
  [[ "$PLAIN" == 1 ]] || STEP_COUNT=$((STEP_COUNT + 1))
  [[ -z "${CONVERSION[--labelled]-}" ]] || STEP_COUNT=$((STEP_COUNT + 1))
  STEP_COUNT=$((STEP_COUNT + TUNE))
  [[ -z "$OUTPUT" ]] || STEP_COUNT=$((STEP_COUNT + 1))
  [[ -z "$SBOM" ]] || STEP_COUNT=$((STEP_COUNT + 1))
  [[ "$NO_IMAGE" == 1 ]] || STEP_COUNT=$((STEP_COUNT + 7 - FOREIGN))
  local started="$EPOCHREALTIME"
  prepare_work
  REPOSITORY="$WORK/context/models/models"

  fetch
  convert
  render
  verify_repository
  [[ -z "$OUTPUT" ]] || keep_repository
  [[ "$NO_IMAGE" == 1 ]] || build_image
  [[ "$DRY_RUN" == 0 ]] || return 0

  if [[ "$NO_IMAGE" == 1 ]]; then
    log "verified in $(seconds_since "$started") s${LACKS:+, but not on the target ($LACKS)}"
    [[ -z "$OUTPUT" ]] || printf '%s\n' "$OUTPUT"
  else
    log "$IMAGE is ready after $(seconds_since "$started") s:"
    log "  $(serving_engine) run $(run_words)-p8000:8000 -p8001:8001 -p8002:8002 $IMAGE"
    [[ -z "$LACKS" ]] ||
      log "not verified on target ($LACKS): there, ./make_triton_image.sh --verify-only $IMAGE"
    printf '%s\n' "$IMAGE"
  fi
}

if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
  main "$@"
fi
