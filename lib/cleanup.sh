# shellcheck shell=bash
# What every end of a build removes. Sourced after lib/engine.sh.

# clean_build WORK CANDIDATE: the work folder and the candidate image of ENGINE
clean_build() {
  local work="$1" candidate="$2"
  if [[ -n "$ENGINE" ]]; then
    engine_untag "$candidate" || true
  fi
  rm -rf -- "$work"
}
