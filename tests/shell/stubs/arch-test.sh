#!/usr/bin/env bash
# Stands in for arch-test: this machine runs the programs of the architectures in STUB_EMULATED.
set -euo pipefail
[[ " ${STUB_EMULATED-amd64 arm64} " == *" ${1:-} "* ]]
