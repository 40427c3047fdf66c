#!/usr/bin/env bash
# Adds to an image the list of what is in it.
set -Eeuo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=lib/log.sh
source "$ROOT/lib/log.sh"
# shellcheck source=lib/engine.sh
source "$ROOT/lib/engine.sh"

usage() {
  cat <<'EOF'
Usage: add_bill_of_materials.sh ENGINE TARGET_FILE CONTEXT MODEL_NAME VERSION IMAGE BUILD_FOLDER

Builds IMAGE, which was made of CONTEXT (utils/build_image.sh), anew on itself with
/opt/tritonserver/sbom.cdx.json (utils/bill_of_materials.py). TARGET_FILE comes from
utils/choose_target.py, VERSION is make_triton_image.sh's. BUILD_FOLDER is a new
folder for the build; the file is in it too, as sbom.cdx.json.
EOF
}

main() {
  answer_help "$@"
  [[ $# -eq 7 ]] || usage_error 'add_bill_of_materials.sh' \
    'takes ENGINE, TARGET_FILE, CONTEXT, MODEL_NAME, VERSION, IMAGE and BUILD_FOLDER'
  local target="$2" context="$3" model_name="$4" version="$5" image="$6" folder="$7"
  local added="$folder/added/opt/tritonserver" python without
  ENGINE="$1"
  # shellcheck source=/dev/null
  source "$target"
  python="$(find_python)"
  mkdir -p -- "$added"
  engine_read_file "$image" /usr/lib/os-release /var/lib/dpkg/status >"$folder/system"
  "$python" "$ROOT/utils/bill_of_materials.py" --server "$SERVER" --release "$SERVER_RELEASE" \
    --output "$folder/sbom.cdx.json" \
    "$folder/system" "$context/server" "$context/models/models" "$model_name" "$version"
  cp -- "$folder/sbom.cdx.json" "$added/"
  make_uniform "$folder/added"
  without="$(engine_image_id "$image")"
  # shellcheck disable=SC2153
  set_platform_options "$PLATFORM"
  engine_build "$folder" "$image" --file "$ROOT/server/added/Dockerfile" "${PLATFORM_OPTIONS[@]}" \
    --build-arg "BASE_IMAGE=$image"
  engine_forget "$without"
}

main "$@"
