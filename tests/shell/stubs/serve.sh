#!/usr/bin/env bash
# Stands in for bin/serve of the embedded server.
set -euo pipefail
# shellcheck source=tests/shell/stubs/stub.bash
source "$STUBS/stub.bash"
record serve serve "MODEL_REPOSITORY=$MODEL_REPOSITORY" "$@"
exec sleep "${STUB_RUN_SECONDS:-60}"
