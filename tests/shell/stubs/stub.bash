# shellcheck shell=bash
# What the stub executables share. STUB_FOLDER holds calls (one a line, quoted for the shell), keys
# (their short names), images/ (one file each) and hanging (the process that was told to hang); with
# STUB_ENVIRONMENT=1 also environment/ (each key's).

# record KEY COMMAND [ARGUMENT ...]: notes the call. STUB_FAIL, STUB_SILENT_FAIL and STUB_HANG name
# the KEY that shall fail, fail without a word or hang; "KEY #2" means its second call only.
record() {
  local key="$1" line
  shift
  printf -v line '%q ' "$@"
  printf '%s\n' "${line% }" >>"$STUB_FOLDER/calls"
  printf '%s\n' "$key" >>"$STUB_FOLDER/keys"
  [[ "${STUB_ENVIRONMENT:-0}" != 1 ]] || note_environment "$key"
  if is_meant "${STUB_FAIL:-}" "$key"; then
    printf 'working\nerror: %s: failed as told (a hint)\ncleaning up\n' "$key" >&2
    exit 1
  fi
  if is_meant "${STUB_SILENT_FAIL:-}" "$key"; then
    exit 1
  fi
  if is_meant "${STUB_HANG:-}" "$key"; then
    printf '%s\n' "$$" >"$STUB_FOLDER/hanging.part"
    mv -- "$STUB_FOLDER/hanging.part" "$STUB_FOLDER/hanging"
    exec sleep 60
  fi
}

note_environment() {
  mkdir -p -- "$STUB_FOLDER/environment"
  env >"$STUB_FOLDER/environment/$1"
}

is_meant() {
  local meant="$1" key="$2"
  [[ "$meant" == "$key" ]] && return 0
  [[ "$meant" == "$key #"* ]] || return 1
  count_calls "$key"
  [[ "$CALLS" == "${meant##*#}" ]]
}

# count_calls PATTERN: sets CALLS to the number of calls with such a key
count_calls() {
  local key
  CALLS=0
  while IFS= read -r key; do
    # shellcheck disable=SC2053
    [[ "$key" != $1 ]] || CALLS=$((CALLS + 1))
  done <"$STUB_FOLDER/keys"
}

# value_after OPTION [ARGUMENT ...]: sets VALUE to the argument behind OPTION, or to nothing
value_after() {
  local option="$1"
  shift
  VALUE=''
  while [[ $# -gt 1 ]]; do
    # shellcheck disable=SC2034
    [[ "$1" != "$option" ]] || VALUE="$2"
    shift
  done
}
