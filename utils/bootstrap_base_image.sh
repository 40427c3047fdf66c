#!/usr/bin/env bash
# Writes a Debian root file system as a tar file, for machines that reach no container registry.
set -Eeuo pipefail
# shellcheck source=lib/log.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/log.sh"

usage() {
  cat <<'EOF'
Usage: bootstrap_base_image.sh SUITE PACKAGES TAR_FILE

Makes a Debian root file system of SUITE with PACKAGES (one argument, separated
by spaces) with mmdebstrap and writes it to TAR_FILE, ready for docker import.
Debian's packages are all it needs from outside.
EOF
}

main() {
  answer_help "$@"
  [[ $# -eq 3 ]] || usage_error 'bootstrap_base_image.sh' 'takes SUITE, PACKAGES and TAR_FILE'
  local suite="$1" packages="$2" tar_file="$3"
  require_command mmdebstrap mmdebstrap

  # usr-is-merged stands in for usrmerge, which would bring all of Perl (50 MB).
  local options=(
    --format=tar
    --variant=essential
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
