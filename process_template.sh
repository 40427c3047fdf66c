#!/usr/bin/env bash
# Renders a template folder: every *.template file goes through envsubst, the rest is copied.
set -Eeuo pipefail
# shellcheck source=lib/log.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/log.sh"
# shellcheck source=lib/model_name.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/model_name.sh"

# The variables that templates may name. Each must be set and not empty.
readonly VARIABLES=(
  MODEL_NAME
  MAX_BATCH_SIZE
  TEXT_TENSORS
  TEXT_INPUT_MAP
  LONG_TEXT
  MAX_WINDOWS
  LENGTH_MULTIPLE
  TOKEN_TENSORS
  TOKEN_OUTPUT_MAP
  TOKEN_INPUT_MAP
  LOGITS_NAME
  LOGITS_TENSOR
  ENGINE
  WARMUP_INPUTS
  CLASS_COUNT
  PROBLEM_TYPE
  FUNCTION
  TOP_K
)

usage() {
  cat <<EOF
Usage: process_template.sh [--variables FILE] SOURCE_DIR TARGET_DIR

Copies SOURCE_DIR to TARGET_DIR, which must not exist or be empty, and renders
its *.template files with these environment variables:
  ${VARIABLES[*]}
FILE holds their assignments for the shell, as utils/template_variables.py
writes them for a converted model; without it they come from the environment.
SOURCE_DIR is never written to.
EOF
}

# Prints the names that a template uses, one a line.
used_variables() {
  envsubst --variables "$(<"$1")" | sort -u
}

is_known() {
  local name="$1" known
  for known in "${VARIABLES[@]}"; do
    [[ "$name" == "$known" ]] && return 0
  done
  return 1
}

check_template() {
  local file="$1" name
  while IFS= read -r name; do
    is_known "$name" || die "$file" "unknown variable \$$name" "known: ${VARIABLES[*]}"
    [[ -n "${!name:-}" ]] || die "$file" "variable $name is not set or empty" \
      'utils/template_variables.py prints all of them'
  done < <(used_variables "$file")

  local stray
  # shellcheck disable=SC2016
  stray="$(sed -E 's/\$(\{[A-Za-z_][A-Za-z0-9_]*\}|[A-Za-z_][A-Za-z0-9_]*)//g' "$file" |
    grep -n -m 1 -F '$' || true)"
  [[ -z "$stray" ]] || die "$file:${stray%%:*}" "a \$ that belongs to no variable: ${stray#*:}"
}

render() {
  local source="$1" target="$2" shell_format file
  shell_format="$(printf '$%s ' "${VARIABLES[@]}")"
  # A read-only template makes no read-only copy.
  cp -R --no-preserve=mode -- "$source/." "$target/" 2>/dev/null ||
    die "$target" 'cannot be written'
  while IFS= read -r -d '' file; do
    envsubst "$shell_format" <"$file" >"${file%.template}" ||
      die "${file%.template}" 'cannot be written'
    rm -- "$file"
  done < <(find "$target" -type f -name '*.template' -print0)
  find "$target" \( -name .gitkeep -o -name __pycache__ \) -prune -exec rm -r -- {} +
  if [[ -d "$target/$ENSEMBLE_FOLDER" && "$MODEL_NAME" != "$ENSEMBLE_FOLDER" ]]; then
    mv -- "$target/$ENSEMBLE_FOLDER" "$target/$MODEL_NAME"
  fi
}

main() {
  answer_help "$@"
  if [[ "${1:-}" == --variables ]]; then
    [[ $# -ge 2 && -f "$2" ]] || die "${2:---variables}" 'no such file'
    set -a
    # A path, or the shell would look for it on PATH first.
    # shellcheck source=/dev/null
    source "$(realpath -- "$2")"
    set +a
    shift 2
  fi
  [[ $# -eq 2 ]] || usage_error 'process_template.sh' "takes SOURCE_DIR and TARGET_DIR, got $# arguments"
  local source="$1" target="$2" file
  require_command envsubst gettext-base
  [[ -d "$source" ]] || die "$source" 'no such folder'
  local problem
  problem="$(model_name_problem "${MODEL_NAME-$ENSEMBLE_FOLDER}" "$source")"
  [[ -z "$problem" ]] || die "MODEL_NAME $(printf '%q' "$MODEL_NAME")" "$problem"
  if [[ -e "$target" && -n "$(ls -A -- "$target" 2>/dev/null || printf x)" ]]; then
    die "$target" 'exists and is not an empty folder' 'choose another or remove it'
  fi
  while IFS= read -r -d '' file; do
    check_template "$file"
  done < <(find "$source" -type f -name '*.template' -print0 | sort -z)
  mkdir -p -- "$target" 2>/dev/null || die "$target" 'cannot be created'
  render "$source" "$target"
}

if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
  main "$@"
fi
