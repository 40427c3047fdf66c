#!/usr/bin/env bash
# Stands in for mmdebstrap: writes the tar file that is its last argument.
set -euo pipefail
# shellcheck source=tests/shell/stubs/stub.bash
source "${BASH_SOURCE[0]%/*}/stub.bash"
if [[ "${STUB_FAIL:-}" == mmdebstrap ]]; then
  printf 'I: working\nE: no packages in reach\n' >&2
  printf 'part' >"${!#}"
  exit 1
fi
record mmdebstrap mmdebstrap "$@"
printf 'stub tar\n' >"${!#}"
