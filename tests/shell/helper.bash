# shellcheck shell=bash
# What all tests of the scripts share: a copy of the scripts to run and stub executables first on
# PATH (stubs/), so that nothing here needs an engine, torch or the network.

bats_require_minimum_version 1.5.0
# Bats loads them anew for each test, and their own load.bash starts a process for each file: file by
# file that takes half the time of all tests.
for library_file in "${BATS_LIB_PATH%%:*}"/bats-{support,assert,file}/src/*.bash; do
  # shellcheck source=/dev/null
  source "$library_file"
done

SOURCE_ROOT="$(cd -- "${BASH_SOURCE[0]%/*}/../.." >/dev/null && pwd)"

# For setup_file: what the tests of a file share and none of them writes to. STUBS is a folder of
# executables; INPUTS_FOLDER holds the three inputs that a build needs.
make_shared_files() {
  local stubs="$SOURCE_ROOT/tests/shell/stubs" name
  export STUBS="$BATS_FILE_TMPDIR/stubs" INPUTS_FOLDER="$BATS_FILE_TMPDIR/inputs"
  export STUB_SERVER="$BATS_FILE_TMPDIR/server"
  mkdir -p -- "$STUBS" "$STUB_SERVER/bin" "$INPUTS_FOLDER/model" "$INPUTS_FOLDER/tokenizer"
  printf '{"0": "negative", "1": "positive"}\n' >"$INPUTS_FOLDER/id2label.json"
  for name in docker podman buildah; do
    ln -s -- "$stubs/engine.sh" "$STUBS/$name"
  done
  ln -s -- "$stubs/stub.bash" "$STUBS/stub.bash"
  ln -s -- "$stubs/mmdebstrap.sh" "$STUBS/mmdebstrap"
  ln -s -- "$stubs/arch-test.sh" "$STUBS/arch-test"
  ln -s -- "$stubs/python.sh" "$STUBS/stub_python"
  ln -s -- "$stubs/serve.sh" "$STUB_SERVER/bin/serve"
}

# enter_workplace FOLDER [REPO]: an empty folder to work in, the stubs first on PATH. The scripts
# write into the folder that they lie in, so they run from a copy unless REPO names one. The engines
# have the base image unless BASE_MISSING is 1.
enter_workplace() {
  local folder="$1"
  export STUB_FOLDER="$folder/stubs" PATH="$STUBS:$PATH" PYTHON="$STUBS/stub_python"
  # What the scripts leave in the system's folder for temporary files shall be seen.
  export TMPDIR="$folder/tmp"
  mkdir -p -- "$STUB_FOLDER/images" "$TMPDIR" "$folder/here"
  [[ "${BASE_MISSING:-0}" == 1 ]] || : >"$STUB_FOLDER/images/debian:12-slim"
  REPO="${2:-"$folder/repo"}"
  [[ -n "${2:-}" ]] || copy_scripts "$REPO"
  cd -- "$folder/here" || return
  # shellcheck disable=SC2034
  INPUTS=("$INPUTS_FOLDER/model" "$INPUTS_FOLDER/tokenizer" "$INPUTS_FOLDER/id2label.json")
  unset {,SLIM_}BASE_IMAGE SOURCE_DATE_EPOCH DOCKER_BUILDKIT QUIET DRY_RUN PULL_TIMEOUT_SECONDS
  unset HARDWARE EMBEDDED LACKS GPU TENSORRT_ENGINES
  unset {http,https,no}_proxy {HTTP,HTTPS,NO}_PROXY
  unset SSL_CERT_FILE PIP_CERT {REQUESTS_CA,CURL_CA,AWS_CA}_BUNDLE
}

copy_scripts() {
  mkdir -p -- "$1/utils"
  (cd -- "$SOURCE_ROOT" && cp -R -- lib model_repository ./*.sh "$1/" && cp -- utils/*.sh "$1/utils/")
}

# in_background COMMAND ...: for setup_file, whose tests begin meanwhile
in_background() {
  "$@" >/dev/null 2>&1 3>&- &
}

# build_ahead NAME [ARGUMENT ...]: a build of INPUTS in a workplace of its own, for several tests to
# look at
build_ahead() {
  build_from_ahead "$1" "$INPUTS_FOLDER"/{model,tokenizer,id2label.json} "${@:2}"
}

# build_from_ahead NAME ARGUMENT ...: the same, not of INPUTS
build_from_ahead() (
  enter_workplace "$BATS_FILE_TMPDIR/$1"
  status=0
  make_image "${@:2}" >../stdout 2>../stderr || status=$?
  printf '%s\n' "$status" >../status.part
  mv -- ../status.part ../status
)

# use_build NAME: as `run --separate-stderr` would have left it
use_build() {
  local folder="$BATS_FILE_TMPDIR/$1"
  wait_until 60 test -e "$folder/status"
  export STUB_FOLDER="$folder/stubs" TMPDIR="$folder/tmp"
  REPO="$folder/repo"
  # shellcheck disable=SC2034
  {
    status="$(<"$folder/status")"
    output="$(<"$folder/stdout")"
    stderr="$(<"$folder/stderr")"
    mapfile -t lines <"$folder/stdout"
    mapfile -t stderr_lines <"$folder/stderr"
  }
  cd -- "$folder/here" || return
}

# Whatever a test left running; only its own processes have its STUB_FOLDER.
end_processes() {
  local pid
  for pid in $(processes_left); do
    kill -KILL "$pid" 2>/dev/null || true
  done
}

# Bats waits for its file descriptor 3 to be closed.
make_image() {
  "$REPO/make_triton_image.sh" "$@" 3>&-
}

# The options that make_triton_image.sh passes on to the conversion, one a line
table_options() {
  # shellcheck disable=SC2016
  bash -c 'source "$1" && printf "%s\n" "${!CONVERSION_VALUES[@]}"' bash "$REPO/lib/arguments.sh" | sort
}

# Those that it passes on to choose_target.py
target_options() {
  # shellcheck disable=SC2016
  bash -c 'source "$1" && printf "%s\n" "${TARGET_OPTIONS[@]}"' bash "$REPO/lib/arguments.sh" | sort
}

# make_target FILE [OPTION VALUE ...]: for setup_file, a target.env of the stub of choose_target.py
make_target() {
  STUB_FOLDER="$BATS_FILE_TMPDIR" "$STUBS/stub_python" "$BATS_FILE_TMPDIR/repo/utils/choose_target.py" \
    "${@:2}" >"$BATS_FILE_TMPDIR/$1"
}

# make_image_file REFERENCE [LINE ...]: an image of the engines; LINE is as stubs/engine.sh wants it
make_image_file() {
  local name="$1"
  shift
  printf '%s\n' "$@" >"$STUB_FOLDER/images/${name//\//%}"
}

# hide_command NAME: PATH with the stubs and what the scripts may use of the system, less NAME
hide_command() {
  local name="$1" links="$BATS_TEST_TMPDIR/path" tool tools=()
  for tool in awk basename bash cat chmod cksum comm cp cut date dirname dpkg env envsubst find flock grep \
    head id install ln ls mkdir mktemp mmdebstrap mv od readlink realpath rm rmdir sed seq setpriv \
    setsid sha256sum sleep sort stat tail tee timeout touch tr uname uniq wc xargs; do
    [[ "$tool" == "$name" ]] || tools+=("$(type -P "$tool")")
  done
  mkdir -- "$links"
  ln -s -t "$links" -- "${tools[@]}" "$STUBS"/{docker,podman,buildah,stub.bash,stub_python}
  PATH="$links"
}

# assert_error STATUS START: one line on stderr that begins with "error: START: ", no result
assert_error() {
  local wanted_status="$1" start="$2"
  assert_failure "$wanted_status"
  assert_output ''
  # shellcheck disable=SC2154
  assert_regex "$stderr" '^error: .+: .+'
  assert_one_line "$stderr"
  assert_equal "${stderr:0:$((${#start} + 9))}" "error: $start: "
}

assert_one_line() {
  refute_regex "$1" $'\n'
  assert_not_equal "$1" ''
}

# assert_called PATTERN [TIMES]: an extended regular expression for a whole call
assert_called() {
  local pattern="$1" times="${2:-}" found=0
  [[ ! -e "$STUB_FOLDER/calls" ]] || found="$(grep -c -x -E -- "$pattern" "$STUB_FOLDER/calls" || true)"
  if [[ -n "$times" && "$found" -ne "$times" ]] || [[ -z "$times" && "$found" -eq 0 ]]; then
    batslib_print_kv_single 10 'expected' "$pattern" 'times' "${times:-some}" 'found' "$found" |
      batslib_decorate 'call of a stub' | fail
  fi
}

# arguments_of SCRIPT: sets ARGUMENTS to those of Python's one call of SCRIPT
arguments_of() {
  local call
  call="$(grep "^python $1 " "$STUB_FOLDER/calls")"
  assert_one_line "$call"
  eval "ARGUMENTS=(${call#"python $1 "})"
}

# arguments_printed LINE: sets ARGUMENTS to those of the script that LINE of a dry run calls
arguments_printed() {
  eval "ARGUMENTS=($1)"
  ARGUMENTS=("${ARGUMENTS[@]:2}")
}

# assert_argument OPTION VALUE: once among ARGUMENTS, and the value unchanged
assert_argument() {
  local option="$1" wanted="$2" number values=()
  for number in "${!ARGUMENTS[@]}"; do
    [[ "${ARGUMENTS[number]}" != "$option" ]] || values+=("${ARGUMENTS[number + 1]}")
  done
  assert_equal "${#values[@]}" 1
  assert_equal "${values[0]}" "$wanted"
}

# refute_argument OPTION: not among ARGUMENTS
refute_argument() {
  local argument
  for argument in "${ARGUMENTS[@]}"; do
    assert_not_equal "$argument" "$1"
  done
}

assert_not_called() {
  assert_called "$1" 0
}

# No step has run; what an image is for and which engine answers may have been asked.
assert_no_steps() {
  local asked='python choose_target\.py|(docker|podman|buildah) (version|info|images|inspect|image)'
  [[ ! -e "$STUB_FOLDER/calls" ]] || run grep -v -E -- "^($asked)( |\$)" "$STUB_FOLDER/calls"
  assert_output ''
}

assert_no_calls() {
  assert_not_exists "$STUB_FOLDER/calls"
}

assert_image() {
  assert_exists "$STUB_FOLDER/images/${1//\//%}"
}

assert_no_image() {
  assert_not_exists "$STUB_FOLDER/images/${1//\//%}"
}

# Nothing of a build that did not succeed, or of one that did: no work folder, no candidate, no
# temporary files, no process.
assert_tidy() {
  assert_equal "$(ls -A -- "$REPO/build")" ''
  assert_equal "$(find "$STUB_FOLDER/images" -name '*candidate*')" ''
  assert_equal "$(ls -A -- "$TMPDIR")" ''
  assert_no_processes
}

# Pids of all processes that came from this test
processes_left() {
  local environment
  env --unset=STUB_FOLDER grep -l -z -x -F "STUB_FOLDER=$STUB_FOLDER" /proc/[0-9]*/environ 2>/dev/null |
    while IFS=/ read -r _ _ environment _; do
      printf '%s\n' "$environment"
    done
}

assert_no_processes() {
  # The guard's last sleep is 0.3 s.
  wait_until 5 no_processes
}

no_processes() {
  [[ -z "$(processes_left)" ]]
}

# wait_until SECONDS COMMAND [ARGUMENT ...]
wait_until() {
  local seconds="$1" end
  shift
  end=$((${EPOCHREALTIME/[.,]/} + seconds * 1000000))
  until "$@"; do
    [[ "${EPOCHREALTIME/[.,]/}" -lt "$end" ]] || fail "not within $seconds s: $*"
    sleep 0.05
  done
}
