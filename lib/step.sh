# shellcheck shell=bash
# Steps of a build: each runs one command, shows its name and seconds on stderr, and on failure
# ends the script with the command's own error line. Sourced after lib/log.sh.
#
# What a step writes to WORK/details is for the user, whether it succeeds or fails (QUIET=1: only
# when it fails).
#
# DRY_RUN=1 prints the commands on stdout instead; QUIET=1 shows only errors; LOG_FILE takes what
# the commands write to stderr; WORK/step_group tells lib/guard.sh which group runs.

STEP_NUMBER=0
STEP_COUNT="${STEP_COUNT:-0}"

# step NAME COMMAND [ARGUMENT ...]
step() {
  local name="$1"
  shift
  if [[ "$DRY_RUN" == 1 ]]; then
    print_quoted "$@"
    return 0
  fi
  STEP_NUMBER=$((STEP_NUMBER + 1))
  local started="$EPOCHREALTIME" status=0 label
  label="$(printf '[%d/%d] %s' "$STEP_NUMBER" "$STEP_COUNT" "$name")"
  printf '\n== %s\n' "$label" >>"$LOG_FILE"

  # A group of its own, so that the command can be ended with all that it started.
  setsid "$@" >>"$LOG_FILE" 2>"$LOG_FILE.step" &
  STEP_PID=$!
  printf '%s\n' "$STEP_PID" >"$WORK/step_group"
  show_progress "$STEP_PID" "$label" "$started"
  wait "$STEP_PID" || status=$?
  STEP_PID=''
  # Its number may be another process's soon.
  rm -f -- "$WORK/step_group" "$WORK/progress"
  cat "$LOG_FILE.step" >>"$LOG_FILE"
  if [[ "$status" -ne 0 ]]; then
    clear_progress
    show_details
    fail_with_reason "$name" "$(reason_in "$LOG_FILE.step")"
  fi
  clear_progress
  log "$label $(seconds_since "$started") s"
  [[ "${QUIET:-0}" == 1 ]] || show_details
  # Not of the next step, should that fail.
  rm -f -- "$WORK/details"
}

show_details() {
  [[ ! -s "$WORK/details" ]] || cat -- "$WORK/details" >&2
}

# The command's own error line if it has one, under the step's name if not
fail_with_reason() {
  local name="$1" reason="$2"
  if [[ "$reason" == *': '* ]]; then
    die "${reason%%: *}" "${reason#*: }"
  fi
  die "$name" "${reason:-"failed without a word (--keep keeps its log)"}"
}

# The first line of a log that starts with error:, else its last line, without "error: "
reason_in() {
  local file="$1" line
  # Builders colour what a RUN says, or put its number and time in front.
  line="$(sed -E -e $'s/\x1b\\[[0-9;]*m//g' -e 's/^#[0-9]+ [0-9.]+ //' "$file" | grep -m 1 '^error: ' ||
    grep -v '^[[:space:]]*$' "$file" | tail -n 1)"
  printf '%s\n' "${line#error: }"
}

print_quoted() {
  local word line=''
  for word in "$@"; do
    line+="${line:+ }$(printf '%q' "$word")"
  done
  printf '%s\n' "$line"
}

# A line that is rewritten in place, on a terminal only
show_progress() {
  local pid="$1" label="$2" started="$3"
  on_terminal || return 0
  while kill -0 "$pid" 2>/dev/null; do
    printf '\r\033[K%s … %s s%s' "$label" "$(seconds_since "$started")" "$(progress_so_far)" >&2
    sleep 0.2
  done
}

# What the running command says of itself in WORK/progress, if anything
progress_so_far() {
  local line=''
  [[ ! -s "$WORK/progress" ]] || IFS= read -r line <"$WORK/progress" || true
  printf '%s' "${line:+, $line}"
}

clear_progress() {
  if on_terminal; then
    printf '\r\033[K' >&2
  fi
}

on_terminal() {
  [[ -t 2 && "${QUIET:-0}" != 1 && "${TERM:-dumb}" != dumb ]]
}

seconds_since() {
  local started="$1" now="$EPOCHREALTIME"
  local tenths=$((((${now/[.,]/} - ${started/[.,]/}) + 50000) / 100000))
  printf '%d.%d' $((tenths / 10)) $((tenths % 10))
}
