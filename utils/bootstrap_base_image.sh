#!/usr/bin/env bash
# Writes a Debian root file system as a tar file, for machines that reach no container registry.
set -Eeuo pipefail
# shellcheck source=lib/log.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/log.sh"

usage() {
  cat <<'EOF'
Usage: bootstrap_base_image.sh SUITE PACKAGES ARCHITECTURE TAR_FILE

Makes a Debian root file system of SUITE with PACKAGES (one argument, separated
by spaces) with mmdebstrap and writes it to TAR_FILE, ready for docker import.
Debian's packages are all it needs from outside; for another ARCHITECTURE than
this machine's (amd64, arm64) also its emulation, from qemu-user-static.
EOF
}

# mmdebstrap runs the packages' own scripts.
check_emulation() {
  local architecture="$1"
  [[ "$architecture" != "$(dpkg --print-architecture)" ]] || return 0
  if ! command -v arch-test >/dev/null || ! arch-test "$architecture" >/dev/null 2>&1; then
    die "base image for $architecture" 'this machine cannot run its programs' \
      'apt-get install qemu-user-static binfmt-support arch-test, or name one with BASE_IMAGE'
  fi
}

main() {
  answer_help "$@"
  [[ $# -eq 4 ]] ||
    usage_error 'bootstrap_base_image.sh' 'takes SUITE, PACKAGES, ARCHITECTURE and TAR_FILE'
  local suite="$1" packages="$2" architecture="$3" tar_file="$4"
  require_command mmdebstrap mmdebstrap
  check_emulation "$architecture"

  # usr-is-merged stands in for usrmerge, which would bring all of Perl (50 MB).
  local options=(
    --format=tar
    --variant=essential
    --architectures="$architecture"
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr
    --aptopt='APT::Install-Recommends "false"'
    --dpkgopt='path-exclude=/usr/share/doc/*'
    --dpkgopt='path-include=/usr/share/doc/*/copyright'
    --dpkgopt='path-exclude=/usr/share/man/*'
    --dpkgopt='path-exclude=/usr/share/locale/*'
    --include="usr-is-merged ${packages}"
  )
  local output
  if ! output="$(mmdebstrap "${options[@]}" "$suite" "$tar_file.part" 2>&1)"; then
    rm -f -- "$tar_file.part"
    die mmdebstrap "$(grep -m 1 -E '^E:' <<<"$output" || tail -n 1 <<<"$output")" \
      "are Debian's packages in reach?"
  fi
  mv -- "$tar_file.part" "$tar_file"
}

if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
  main "$@"
fi
