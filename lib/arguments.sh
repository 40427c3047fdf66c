# shellcheck shell=bash
# What is set here is for the sourcing script.
# shellcheck disable=SC2034
# The command line of make_triton_image.sh. Sourced after lib/log.sh and lib/model_name.sh; VERSION and
# TEMPLATE are the sourcing script's.

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

# Options that utils/choose_target.py takes under the same names, and checks.
readonly TARGET_OPTIONS=(--hardware --precision --server --platform --registry)

usage() {
  cat <<'EOF'
Usage: make_triton_image.sh [options] MODEL TOKENIZER ID2LABEL [MODEL_NAME] [CONTAINER_TAG] [MAX_BATCH_SIZE]
       make_triton_image.sh [options] --verify-only IMAGE

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

Hardware:
  --hardware NAME  cpu, openvino, cuda, tensorrt; auto: what this machine has
                   (default: cpu)
  --precision NAME fp32, bf16, fp16, int8; auto: the fastest that keeps the labels
                   (default: the hardware's)
  --server NAME    embedded, ngc or ngc-slim, these with a release: ngc:26.08
                   (default: the hardware's)
  --platform NAME  linux/amd64 or linux/arm64 (default: this machine's)
  --verify-only    compare the answers of IMAGE, built elsewhere, on this machine

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

Speed:
  --tune           measure threads and batching on this machine with the samples,
                   and keep the best in the image
  --latency-budget-ms N
                   the highest rate whose p95 stays within N (default: the highest)
  --tune-budget-s N
                   seconds for measuring (default: 300)

Building:
  --output DIR     keep the rendered model repository in DIR
  --no-image       render and verify only
  --sbom FILE      also write what is in the image to FILE, as CycloneDX
  --exporter NAME  auto, torchscript, dynamo or optimum (default: auto)
  --image REF      image reference instead of triton_MODEL_NAME:CONTAINER_TAG
  --engine NAME    docker, podman or buildah (default: the first that answers)
  --registry PREFIX
                   take base images from this registry or mirror
  --ca-file FILE   certificates to trust too, of a proxy or a registry of yours
  --dry-run        print the commands and change nothing
  --keep           keep the work folder under build/
  --quiet          no progress
  --version
  -h, --help

Environment: BASE_IMAGE names another base image (by digest: debian@sha256:…);
PYTHON the interpreter to use instead of .venv/bin/python; SOURCE_DATE_EPOCH the
date of all files in the image (1970-01-01).
EOF
}

parse_arguments() {
  OUTPUT='' IMAGE='' WANTED_ENGINE='' SBOM=''
  VERIFY_ONLY='' CA_FILE='' LATENCY_BUDGET='' TUNE_BUDGET=''
  TUNE=0 NO_IMAGE=0 DRY_RUN=0 KEEP=0 QUIET=0 PAIRS=0 OFFLINE=0 ALLOW_PICKLE=0
  WHERE_MODEL='' WHERE_TOKENIZER='' WHERE_LABELS=''
  declare -gA CONVERSION=() TARGET=()
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
      --tune) TUNE=1 ;;
      --latency-budget-ms | --tune-budget-s | \
        --output | --sbom | --image | --engine | --verify-only | --ca-file | --where-model | --where-tokenizer | --where-labels)
        [[ $# -ge 2 && -n "$2" ]] || usage_error "$1" 'needs a value'
        case "$1" in
          --latency-budget-ms) LATENCY_BUDGET="$2" ;;
          --tune-budget-s) TUNE_BUDGET="$2" ;;
          --output) OUTPUT="$2" ;;
          --sbom) SBOM="$2" ;;
          --where-model) WHERE_MODEL="$2" ;;
          --where-tokenizer) WHERE_TOKENIZER="$2" ;;
          --where-labels) WHERE_LABELS="$2" ;;
          --image) IMAGE="$2" ;;
          --engine) WANTED_ENGINE="$2" ;;
          --verify-only) VERIFY_ONLY="$2" ;;
          --ca-file) CA_FILE="$2" ;;
        esac
        shift
        ;;
      --)
        shift
        positional+=("$@")
        break
        ;;
      -?*)
        [[ -n "${CONVERSION_VALUES["$1"]-}" ]] || is_target_option "$1" ||
          usage_error "$1" 'unknown option'
        [[ $# -ge 2 && -n "$2" ]] || usage_error "$1" 'needs a value'
        if [[ -n "${CONVERSION_VALUES["$1"]-}" ]]; then
          CONVERSION["$1"]="$2"
        else
          TARGET["$1"]="$2"
        fi
        shift
        ;;
      *) positional+=("$1") ;;
    esac
    shift
  done
  if [[ -n "$VERIFY_ONLY" ]]; then
    [[ ${#positional[@]} -eq 0 ]] || usage_error "${positional[0]}" 'nothing more goes with --verify-only'
    # Of the other options only those of the engine and of the log can mean anything.
    [[ -z "$OUTPUT$SBOM$IMAGE$WHERE_MODEL$WHERE_TOKENIZER$WHERE_LABELS$CA_FILE${TARGET[*]}${CONVERSION[*]}" &&
      "$NO_IMAGE$PAIRS$OFFLINE$ALLOW_PICKLE$TUNE$LATENCY_BUDGET$TUNE_BUDGET" == 00000 ]] ||
      usage_error --verify-only 'takes no options of a build' '--engine, --dry-run, --keep and --quiet go with it'
    IMAGE="$VERIFY_ONLY" MODEL_NAME=verify
    return 0
  fi
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

is_target_option() {
  local option
  for option in "${TARGET_OPTIONS[@]}"; do
    [[ "$1" != "$option" ]] || return 0
  done
  return 1
}

# A path that no command takes for an option
no_option() {
  case "$1" in
    -?*) printf './%s' "$1" ;;
    *) printf '%s' "$1" ;;
  esac
}

check_arguments() {
  [[ -n "$VERIFY_ONLY" ]] || check_build_arguments
  local part='[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*'
  local host='([A-Za-z0-9.-]+(:[0-9]+)?/)?'
  [[ "$IMAGE" =~ ^${host}${part}(/${part})*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$ ]] ||
    usage_error "image $(printf '%q' "${IMAGE:0:120}")" 'is not an image reference' 'choose one with --image'
  case "$WANTED_ENGINE" in
    '' | docker | podman | buildah) ;;
    *) usage_error --engine 'must be docker, podman or buildah' ;;
  esac
  [[ -z "$CA_FILE" || -f "$CA_FILE" ]] || die "$CA_FILE" 'no such file' '--ca-file takes certificates in PEM'
}

check_build_arguments() {
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
  check_tune_arguments
  [[ -z "$SBOM" || "$NO_IMAGE" == 0 ]] || usage_error --sbom 'goes with an image, not with --no-image'
  [[ "${SOURCE_DATE_EPOCH:-0}" =~ ^[0-9]{1,11}$ ]] ||
    usage_error SOURCE_DATE_EPOCH "must be seconds since 1970, not $(printf '%q' "${SOURCE_DATE_EPOCH:0:80}")"
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
}

check_tune_arguments() {
  [[ "$TUNE" == 1 || -z "$LATENCY_BUDGET" ]] || usage_error --latency-budget-ms 'goes with --tune'
  [[ "$TUNE" == 1 || -z "$TUNE_BUDGET" ]] || usage_error --tune-budget-s 'goes with --tune'
  [[ -z "$LATENCY_BUDGET" || ("$LATENCY_BUDGET" =~ ^[0-9]*\.?[0-9]*$ && "$LATENCY_BUDGET" == *[1-9]*) ]] ||
    usage_error --latency-budget-ms "must be a number over 0, not $(printf '%q' "${LATENCY_BUDGET:0:80}")"
  [[ -z "$TUNE_BUDGET" || "$TUNE_BUDGET" =~ ^[1-9][0-9]{0,4}$ ]] ||
    usage_error --tune-budget-s "must be a number from 1 to 99999, not $(printf '%q' "${TUNE_BUDGET:0:80}")"
}
