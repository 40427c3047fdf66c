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

readonly VERSION='0.1.0'
readonly PROFILE="$ROOT/hardware/cpu.env"
readonly TEMPLATE="$ROOT/model_repository"

readonly LARGEST_BATCH=1024

# Options that utils/convert_to_onnx.py takes under the same names: the values that each may have,
# and how they are told to the user. What has no words may be anything, such as a file's name.
readonly -A CONVERSION_VALUES=(
  ['--max-length']='[1-9][0-9]{0,5}' ['--function']='softmax|sigmoid|none' ['--threshold']='any'
  ['--top-k']='[1-9][0-9]{0,5}' ['--long-text']='truncate|head-tail|window'
  ['--stride']='0|[1-9][0-9]{0,5}' ['--merge']='mean|max' ['--max-windows']='[1-9][0-9]{0,3}'
  ['--samples']='any' ['--labelled']='any'
  ['--tolerance']='(0*[1-9][0-9]*\.?[0-9]*|0*\.0*[1-9][0-9]*)([eE][+-]?[0-9]{1,2})?'
  ['--exporter']='auto|torchscript|dynamo|optimum'
)
readonly -A CONVERSION_WORDS=(
  ['--max-length']='a number from 1 to 999999' ['--function']='softmax, sigmoid or none'
  ['--top-k']='a number from 1 to 999999' ['--long-text']='truncate, head-tail or window'
  ['--stride']='a number from 0 to 999999' ['--merge']='mean or max'
  ['--max-windows']='a number from 1 to 9999' ['--tolerance']='a number over 0'
  ['--exporter']='auto, torchscript, dynamo or optimum'
)

usage() {
  cat <<'EOF'
Usage: make_triton_image.sh [options] MODEL TOKENIZER ID2LABEL [MODEL_NAME] [CONTAINER_TAG] [MAX_BATCH_SIZE]

Exports a fine-tuned sequence classifier to ONNX, proves that it gives the same
answers, builds the image triton_MODEL_NAME:CONTAINER_TAG with the Triton server
and the model inside, starts it once and compares its answers again. Prints the
image reference; progress goes to stderr.

  MODEL            folder with config.json and model.safetensors, an archive of one, or
                   where it lives: hf://user/name, clearml://id, s3://bucket/folder …
                   (python -m utils.storages lists all)
  TOKENIZER        the same for the tokenizer's files; - for the model's own
  ID2LABEL         JSON file: {"0": "negative", "1": "positive"}, or label2id; - for
                   the names in the model's config.json
  MODEL_NAME       name in the API (default: ensemble_model)
  CONTAINER_TAG    default: latest
  MAX_BATCH_SIZE   most texts in one request (default: 4)

Sources:
  --where-model STORAGE, --where-tokenizer STORAGE, --where-labels STORAGE
                   storage of a bare name: local, hf, clearml …
  --offline        take what was fetched before, ask nobody
  --allow-pickle   take pickled weights, if a scanner finds nothing else in them

Answers:
  --function NAME  from logits to scores: softmax, sigmoid or none (default: as
                   transformers' pipeline chooses by the checkpoint)
  --threshold X    over which a label of a multi-label model is predicted, or a
                   JSON file of label to X (default: 0.5)
  --top-k N        labels and scores in an answer (default: all)
  --pairs          texts come in pairs: text_input and text_pair

Long texts:
  --max-length N   most tokens (default: all that the model takes, up to 8192)
  --long-text HOW  truncate, head-tail or window (default: truncate)
  --stride N       tokens that two windows share (default: a quarter)
  --merge HOW      of the windows' logits: mean or max (default: mean)
  --max-windows N  of one text (default: 16)

Gates:
  --samples FILE   texts to compare, one a line, or .csv, .jsonl (default:
                   built-in ones)
  --labelled FILE  .csv or .jsonl with text and label: shows the accuracy of the
                   original and of the exported model
  --tolerance X    largest difference of logits and scores (default: 0.0001)

Building:
  --output DIR     keep the rendered model repository in DIR
  --no-image       render and verify only
  --exporter NAME  auto, torchscript, dynamo or optimum (default: auto)
  --image REF      image reference instead of triton_MODEL_NAME:CONTAINER_TAG
  --engine NAME    docker, podman or buildah (default: the first that answers)
  --dry-run        print the commands and change nothing
  --keep           keep the work folder under build/
  --quiet          no progress
  --version
  -h, --help

Environment: BASE_IMAGE names another base image (by digest: debian@sha256:…);
PYTHON the interpreter to use instead of .venv/bin/python.
EOF
}

parse_arguments() {
  OUTPUT='' IMAGE='' WANTED_ENGINE=''
  NO_IMAGE=0 DRY_RUN=0 KEEP=0 QUIET=0 PAIRS=0 OFFLINE=0 ALLOW_PICKLE=0
  WHERE_MODEL='' WHERE_TOKENIZER='' WHERE_LABELS=''
  declare -gA CONVERSION=()
  local positional=()
  while [[ $# -gt 0 ]]; do
    case "$1" in
      -h | --help)
        usage
        exit 0
        ;;
      --version)
        printf 'make_triton_image.sh %s\n' "$VERSION"
        exit 0
        ;;
      --no-image) NO_IMAGE=1 ;;
      --dry-run) DRY_RUN=1 ;;
      --keep) KEEP=1 ;;
      --quiet) QUIET=1 ;;
      --pairs) PAIRS=1 ;;
      --offline) OFFLINE=1 ;;
      --allow-pickle) ALLOW_PICKLE=1 ;;
      --output | --image | --engine | --where-model | --where-tokenizer | --where-labels)
        [[ $# -ge 2 && -n "$2" ]] || usage_error "$1" 'needs a value'
        case "$1" in
          --output) OUTPUT="$2" ;;
          --where-model) WHERE_MODEL="$2" ;;
          --where-tokenizer) WHERE_TOKENIZER="$2" ;;
          --where-labels) WHERE_LABELS="$2" ;;
          --image) IMAGE="$2" ;;
          --engine) WANTED_ENGINE="$2" ;;
        esac
        shift
        ;;
      --)
        shift
        positional+=("$@")
        break
        ;;
      -?*)
        [[ -n "${CONVERSION_VALUES["$1"]-}" ]] || usage_error "$1" 'unknown option'
        [[ $# -ge 2 && -n "$2" ]] || usage_error "$1" 'needs a value'
        CONVERSION["$1"]="$2"
        shift
        ;;
      *) positional+=("$1") ;;
    esac
    shift
  done
  [[ ${#positional[@]} -ge 3 ]] ||
    usage_error 'arguments' 'MODEL, TOKENIZER and ID2LABEL are needed'
  [[ ${#positional[@]} -le 6 ]] || usage_error "${positional[6]}" 'one argument too many'
  MODEL="$(no_option "${positional[0]}")"
  TOKENIZER="$(no_option "${positional[1]}")"
  LABELS="$(no_option "${positional[2]}")"
  MODEL_NAME="${positional[3]-ensemble_model}"
  TAG="${positional[4]-latest}"
  MAX_BATCH_SIZE="${positional[5]-4}"
  IMAGE="${IMAGE:-triton_$MODEL_NAME:$TAG}"
}

# A path that no command takes for an option
no_option() {
  case "$1" in
    -?*) printf './%s' "$1" ;;
    *) printf '%s' "$1" ;;
  esac
}

check_arguments() {
  local problem where
  [[ -n "$MODEL" && "$MODEL" != - ]] ||
    usage_error MODEL 'is a folder or where the model lives' '- is for TOKENIZER and ID2LABEL'
  for where in "$WHERE_MODEL" "$WHERE_TOKENIZER" "$WHERE_LABELS"; do
    [[ -z "$where" || "$where" =~ ^[a-z][a-z0-9+.-]*$ ]] ||
      usage_error "$(printf '%q' "${where:0:80}")" 'is no storage' 'python -m utils.storages lists them'
  done
  problem="$(model_name_problem "$MODEL_NAME" "$TEMPLATE")"
  [[ -z "$problem" ]] || usage_error "model name $(printf '%q' "${MODEL_NAME:0:80}")" "$problem"
  [[ "$TAG" =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] ||
    usage_error "container tag $(printf '%q' "${TAG:0:80}")" 'must be 1 to 128 of A-Z a-z 0-9 _ . -'
  [[ "$MAX_BATCH_SIZE" =~ ^[1-9][0-9]{0,3}$ && "$MAX_BATCH_SIZE" -le "$LARGEST_BATCH" ]] ||
    usage_error "max batch size $(printf '%q' "${MAX_BATCH_SIZE:0:80}")" "must be a number from 1 to $LARGEST_BATCH"
  local option value
  for option in "${!CONVERSION[@]}"; do
    value="${CONVERSION["$option"]}"
    if [[ -n "${CONVERSION_WORDS["$option"]-}" ]]; then
      [[ "$value" =~ ^(${CONVERSION_VALUES["$option"]})$ ]] ||
        usage_error "$option" "must be ${CONVERSION_WORDS["$option"]}, not $(printf '%q' "${value:0:80}")"
    elif [[ "$value" == -* ]]; then
      usage_error "$option" "needs a value, not $(printf '%q' "${value:0:80}")" 'a file may be ./-x'
    fi
  done
  local part='[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*'
  local host='([A-Za-z0-9.-]+(:[0-9]+)?/)?'
  [[ "$IMAGE" =~ ^${host}${part}(/${part})*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$ ]] ||
    usage_error "image $(printf '%q' "${IMAGE:0:120}")" 'is not an image reference' 'choose one with --image'
  case "$WANTED_ENGINE" in
    '' | docker | podman | buildah) ;;
    *) usage_error --engine 'must be docker, podman or buildah' ;;
  esac
}

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
  require_command envsubst gettext-base
  PYTHON="$(find_python)"
  CONVERT_PYTHON="$PYTHON"
  if [[ "${CONVERSION[--exporter]-}" == optimum ]]; then
    # Its transformers is too old for the rest, so it has an environment of its own.
    CONVERT_PYTHON="$ROOT/.venv-optimum/bin/python"
    [[ -x "$CONVERT_PYTHON" ]] || die "$CONVERT_PYTHON" 'not found' 'run make setup-optimum first'
  fi
  ENGINE=''
  if [[ "$NO_IMAGE" == 0 ]]; then
    ENGINE="$(find_engine "$WANTED_ENGINE")"
  fi
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
  [[ "$DRY_RUN" == 0 ]] || return 0

  trap finish EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  setsid "$ROOT/lib/guard.sh" $$ "$ENGINE" "$WORK" "$CANDIDATE" "$KEEP" >/dev/null 2>&1 &
  GUARD_PID=$!
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
    rm -rf -- "$WORK"
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
  if [[ -n "${CONVERSION[--labelled]-}" ]]; then
    step 'accuracy on the labelled texts' \
      "$PYTHON" "$ROOT/utils/show_accuracy.py" --output "$WORK/accuracy" "$WORK/model"
    [[ "$DRY_RUN" == 1 || "$QUIET" == 1 ]] || cat -- "$WORK/accuracy" >&2
  fi
}

render() {
  step 'read the graph' \
    "$PYTHON" "$ROOT/utils/template_variables.py" --output "$WORK/variables.env" \
    "$WORK/model" "$MODEL_NAME" "$MAX_BATCH_SIZE"
  step 'render the model repository' \
    "$ROOT/process_template.sh" --variables "$WORK/variables.env" "$TEMPLATE" "$REPOSITORY"
  step 'add the model' \
    "$ROOT/utils/fill_repository.sh" "$WORK/model" "$REPOSITORY"
}

verify_repository() {
  step 'lint the repository' \
    "$PYTHON" "$ROOT/utils/lint_repository.py" "$REPOSITORY"
  step 'serve it, compare answers' \
    "$ROOT/utils/gate.sh" "$MODEL_NAME" "$WORK/model/reference.json" repository "$REPOSITORY"
}

keep_repository() {
  step 'keep the repository' \
    "$PYTHON" "$ROOT/utils/keep_folder.py" "$REPOSITORY" "$OUTPUT"
}

build_image() {
  step 'base image' \
    "$ROOT/utils/base_image.sh" "$ENGINE" "$PROFILE" "$WORK/base_image"
  step 'lay out the server' \
    "$PYTHON" "$ROOT/utils/embedded_server.py" --for image --copy-to "$WORK/context/server"
  step 'image labels' \
    "$PYTHON" "$ROOT/utils/image_labels.py" --output "$WORK/labels" "$WORK/model" "$MODEL_NAME" "$VERSION"
  step 'build the image' \
    "$ROOT/utils/build_image.sh" "$ENGINE" "$WORK/base_image" "$WORK/labels" "$WORK/context" \
    "$CANDIDATE"
  step 'run the image, compare answers' \
    "$ROOT/utils/gate.sh" "$MODEL_NAME" "$WORK/model/reference.json" image "$ENGINE" "$CANDIDATE"
  step 'tag' \
    "$ENGINE" tag "$CANDIDATE" "$IMAGE"
}

# buildah builds images that podman runs.
serving_engine() {
  if [[ "$ENGINE" == buildah ]]; then
    printf 'podman'
  else
    printf '%s' "$ENGINE"
  fi
}

main() {
  parse_arguments "$@"
  check_arguments
  check_inputs
  STEP_COUNT=7
  [[ -z "${CONVERSION[--labelled]-}" ]] || STEP_COUNT=$((STEP_COUNT + 1))
  [[ -z "$OUTPUT" ]] || STEP_COUNT=$((STEP_COUNT + 1))
  [[ "$NO_IMAGE" == 1 ]] || STEP_COUNT=$((STEP_COUNT + 6))
  local started="$EPOCHREALTIME"
  prepare_work
  REPOSITORY="$WORK/context/models"

  fetch
  convert
  render
  verify_repository
  [[ -z "$OUTPUT" ]] || keep_repository
  [[ "$NO_IMAGE" == 1 ]] || build_image
  [[ "$DRY_RUN" == 0 ]] || return 0

  if [[ "$NO_IMAGE" == 1 ]]; then
    log "verified in $(seconds_since "$started") s"
    [[ -z "$OUTPUT" ]] || printf '%s\n' "$OUTPUT"
  else
    log "$IMAGE is ready after $(seconds_since "$started") s:"
    log "  $(serving_engine) run --shm-size=256m -p8000:8000 -p8001:8001 -p8002:8002 $IMAGE"
    printf '%s\n' "$IMAGE"
  fi
}

if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
  main "$@"
fi
