#!/usr/bin/env bash
# Puts a converted model's files where the rendered repository wants them.
set -Eeuo pipefail
# shellcheck source=lib/log.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/log.sh"

usage() {
  cat <<'EOF'
Usage: fill_repository.sh ARTIFACTS REPOSITORY

Copies from ARTIFACTS (written by convert_to_onnx.py) into the rendered REPOSITORY:
  model.onnx, model.onnx.data   model_onnx/1/
  warmup/                       model_onnx/
  tokenizer.json                text_preprocessing/1/
  id2label.json                 post_processing/1/
  thresholds.json               post_processing/1/
  report.json, selftest.json    beside the models, where Triton overlooks them
EOF
}

main() {
  answer_help "$@"
  [[ $# -eq 2 ]] || usage_error 'fill_repository.sh' 'takes ARTIFACTS and REPOSITORY'
  local artifacts="$1" repository="$2"
  place "$artifacts/model.onnx" "$repository/model_onnx/1"
  [[ ! -e "$artifacts/model.onnx.data" ]] ||
    place "$artifacts/model.onnx.data" "$repository/model_onnx/1"
  local file
  install -d -m 755 -- "$repository/model_onnx/warmup" 2>/dev/null ||
    die "$repository/model_onnx" 'warmup cannot be written'
  for file in "$artifacts"/warmup/*; do
    place "$file" "$repository/model_onnx/warmup"
  done
  place "$artifacts/tokenizer.json" "$repository/text_preprocessing/1"
  place "$artifacts/id2label.json" "$repository/post_processing/1"
  [[ ! -e "$artifacts/thresholds.json" ]] ||
    place "$artifacts/thresholds.json" "$repository/post_processing/1"
  place "$artifacts/report.json" "$repository"
  place "$artifacts/selftest.json" "$repository"
}

place() {
  local file="$1" folder="$2"
  [[ -f "$file" ]] || die "$file" 'no such file' 'run utils/convert_to_onnx.py'
  [[ -d "$folder" ]] || die "$folder" 'no such folder' 'run process_template.sh'
  install -m 644 -- "$file" "$folder/" 2>/dev/null || die "$folder" "${file##*/} cannot be written"
}

if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
  main "$@"
fi
