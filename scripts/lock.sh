#!/usr/bin/env bash
# Renews the hashes of requirements-server.txt for the versions that stand in it.
set -Eeuo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$ROOT"

main() {
  local lock='requirements-server.txt' draft
  draft="$(mktemp -d)"
  trap 'rm -rf -- "$draft"' EXIT
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --target "$draft/uv" uv
  grep -o -E '^[a-z][a-z-]*==[^ ]+' "$lock" >"$draft/pins.txt"
  {
    grep '^#' "$lock"
    "$draft/uv/bin/uv" pip compile --quiet --no-header --no-annotate --no-deps \
      --python-version 3.11 --generate-hashes "$draft/pins.txt"
  } >"$draft/$lock"
  cp -- "$draft/$lock" "$lock"
}

main "$@"
