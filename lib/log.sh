# shellcheck shell=bash
# Messages and errors. Sourced; stdout stays free for results.

# error: subject: problem (hint), exit 1
die() {
  print_error "$@"
  exit 1
}

# The same for wrong arguments, exit 2
usage_error() {
  print_error "$1" "$2" "${3:-"see --help"}"
  exit 2
}

# One line, whatever the words have in them
print_error() {
  local subject="$1" problem="$2" hint="${3:-}" line
  line="error: ${subject:-"''"}: $problem${hint:+ ($hint)}"
  printf '%s\n' "${line//[[:cntrl:]]/ }" >&2
}

# Prints the sourcing script's usage and ends it where that is all that was asked for
answer_help() {
  case "${1:-}" in
    -h | --help)
      usage
      exit 0
      ;;
  esac
}

# A line for the person who watches, unless --quiet was given
log() {
  [[ "${QUIET:-0}" == 1 ]] || printf '%s\n' "$*" >&2
}

require_command() {
  local name="$1" package="$2"
  command -v -- "$name" >/dev/null 2>&1 ||
    die "$name" 'not installed' "apt-get install $package"
}

# The folder that everything here lies in
repository_root() {
  cd -- "$(dirname "${BASH_SOURCE[0]}")/.." && pwd
}

# Prints the Python of make setup, or what PYTHON names
find_python() {
  local python
  python="${PYTHON:-"$(repository_root)/.venv/bin/python"}"
  command -v -- "$python" || die "$python" 'not found' 'run make setup first'
}
