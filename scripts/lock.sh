#!/usr/bin/env bash
# Renews the hashes of all lock files (hardware, server, backends) for the
# versions that stand in them.
set -Eeuo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$ROOT"

# renew LOCK UV: everything but the comment on top is written anew
renew() {
  local lock="$1" uv="$2" draft
  draft="$(mktemp)"
  {
    sed '/^[^#]/,$d' "$lock"
    grep -o -E '^[a-z][a-z0-9-]*==[^ ]+' "$lock" |
      "$uv" pip compile --quiet --no-header --no-annotate --no-deps \
        --python-version 3.11 --generate-hashes -
  } >"$draft"
  cat -- "$draft" >"$lock"
  rm -- "$draft"
}

main() {
  local lock tools
  tools="$(mktemp -d)"
  # shellcheck disable=SC2064
  trap "rm -rf -- '$tools'" EXIT
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --target "$tools" uv
  for lock in {hardware,server,backends}/*/requirements.txt; do
    renew "$lock" "$tools/bin/uv"
  done
}

main "$@"
