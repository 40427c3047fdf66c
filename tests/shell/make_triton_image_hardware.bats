#!/usr/bin/env bats
# What make_triton_image.sh builds for: hardware, precision, server, platform, registry, certificates.

load helper

# What the stub of set_precision.py has to tell
readonly TOLD=$'┃ 26 texts in fp16 ┃\n│ stub agreement   │'

setup_file() {
  make_shared_files
  export LABELLED="$BATS_FILE_TMPDIR/my labelled texts.csv" CERTIFICATES="$BATS_FILE_TMPDIR/my ca.pem"
  printf 'text,label\na text,positive\n' >"$LABELLED"
  printf -- '-----BEGIN CERTIFICATE-----\nmine\n' >"$CERTIFICATES"
  in_background builds
  in_background more_builds
}

builds() {
  build_ahead plain --no-image
  STUB_LACKS='no GPU here' build_ahead cuda --hardware cuda --precision fp16 --labelled "$LABELLED" cls_model 1 8
  STUB_TENSORRT=1 STUB_REGISTRY=1 build_ahead tensorrt --hardware tensorrt --server ngc:26.07 --keep
  STUB_FAIL='set_precision.py' build_ahead precision --precision int8
  STUB_FAIL='set_precision.py' build_ahead 'quiet precision' --precision int8 --quiet
}

more_builds() {
  STUB_REGISTRY=1 build_ahead arm64 --platform linux/arm64
  build_ahead registry --registry mirror.example/hub
  STUB_ENVIRONMENT=1 build_ahead certificates --ca-file "$CERTIFICATES" --keep
  STUB_LACKS='no GPU here' build_ahead no_image --hardware cuda --no-image --quiet --output kept
  build_ahead nonesuch --hardware nonesuch
  STUB_FAIL='docker build #3' STUB_TENSORRT=1 STUB_REGISTRY=1 build_ahead mark --hardware tensorrt --server ngc
}

teardown() {
  end_processes
}

# dry_run [ARGUMENT ...]
dry_run() {
  enter_workplace "$BATS_TEST_TMPDIR"
  run --separate-stderr make_image --dry-run "${INPUTS[@]}" "$@"
  assert_success
}

# assert_target BUILD SCRIPT OPTION VALUE: of one call of SCRIPT
assert_target() {
  use_build "$1"
  arguments_of "$2"
  assert_argument "$3" "$4"
}

@test "without options the target is the default" {
  use_build plain
  assert_called 'python choose_target.py' 1
}

@test "each option of a target reaches the choice, its value unchanged" {
  local option
  enter_workplace "$BATS_TEST_TMPDIR"
  for option in $(target_options); do
    # shellcheck disable=SC2016
    run make_image --dry-run --no-image "$option" 'a "$(touch canary)" *' "${INPUTS[@]}"
    arguments_of choose_target.py
    # shellcheck disable=SC2016
    assert_equal "${ARGUMENTS[*]@Q}" "'$option' 'a \"\$(touch canary)\" *'"
    rm "$STUB_FOLDER"/{calls,keys}
  done
  assert_not_exists canary
}

@test "all options of a target reach the choice together" {
  dry_run --registry r.example --platform linux/arm64 --server ngc --precision fp16 --hardware cuda
  assert_called 'python choose_target.py --hardware cuda --precision fp16 --server ngc --platform linux/arm64 --registry r.example'
}

@test "of an option of a target that is given twice the choice gets the last value" {
  dry_run --hardware cuda --hardware cpu
  assert_called 'python choose_target.py --hardware cpu'
}

@test "each option of a target is one of choose_target.py" {
  local option
  enter_workplace "$BATS_TEST_TMPDIR"
  for option in $(target_options); do
    assert_file_contains "$SOURCE_ROOT/utils/choose_target.py" "\"$option\""
  done
}

@test "the stub of choose_target.py assigns what the real one does" {
  local real
  real="$(grep -o -E '^ +"[A-Z_]+":' "$SOURCE_ROOT/utils/choose_target.py" | grep -o -E '[A-Z_]+' | sort)"
  enter_workplace "$BATS_TEST_TMPDIR" "$SOURCE_ROOT"
  assert_equal "$("$PYTHON" utils/choose_target.py | sed 's/=.*//' | sort)" "$real"
}

@test "a target that cannot be is told in the line of the choice, with its status" {
  use_build nonesuch
  assert_failure 2
  assert_output ''
  assert_equal "$stderr" "error: --hardware 'nonesuch': no such profile (possible: cpu, cuda)"
}

@test "a target that cannot be leaves nothing and starts nothing" {
  use_build nonesuch
  assert_no_steps
  assert_not_exists "$REPO/build"
  assert_equal "$(ls -A . "$TMPDIR")" $'.:\n\n'"$TMPDIR:"
}

@test "a target that cannot be is refused in a dry run too" {
  enter_workplace "$BATS_TEST_TMPDIR"
  run --separate-stderr make_image --dry-run --hardware nonesuch "${INPUTS[@]}"
  assert_error 2 "--hardware 'nonesuch'"
}

@test "the exported graph is served as it is on a CPU in fp32" {
  use_build plain
  assert_not_called 'python set_precision.py.*'
  assert_called "python template_variables.py .* ($REPO/build/ensemble_model\.[A-Za-z0-9]{6})/model ensemble_model 4"
}

@test "another precision is one step more, behind the conversion" {
  use_build cuda
  assert_regex "$stderr" $'\n''\[3/19\] fp16 on cuda, compare with fp32 [0-9]+\.[0-9] s'$'\n'
}

@test "what the precision changed is shown behind its line" {
  use_build cuda
  assert_regex "$stderr" 'compare with fp32 [0-9.]+ s'$'\n'"$TOLD"$'\n''\[4/19\] '
}

@test "a precision that will not do shows what it changed, and then the error" {
  use_build precision
  assert_failure 1
  assert_regex "$stderr" "$TOLD"$'\n''error: set_precision.py: failed as told \(a hint\)$'
  assert_tidy
}

@test "a precision that will not do shows what it changed with --quiet too" {
  use_build 'quiet precision'
  assert_equal "$stderr" "$TOLD"$'\n''error: set_precision.py: failed as told (a hint)'
}

@test "with --quiet a precision that will do shows nothing" {
  use_build no_image
  assert_success
  assert_equal "$stderr" ''
}

@test "the precision gets the hardware, what there is to choose from and two folders" {
  local work
  dry_run --precision auto
  work="$REPO/build/ensemble_model.XXXXXX"
  assert_line --index 2 "$PYTHON $REPO/utils/set_precision.py --hardware cpu --precisions int8 fp32\
 --max-batch-size 4 --details $work/details --cache $REPO/.cache -- $work/model $work/model.cpu"
}

@test "the precision gets the largest batch" {
  assert_target cuda set_precision.py --max-batch-size 8
}

@test "the precision gets the labelled texts, with spaces in their name" {
  assert_target cuda set_precision.py --labelled "$LABELLED"
}

@test "the precision gets what this machine lacks" {
  assert_target cuda set_precision.py --lacks 'no GPU here'
}

@test "without them the precision gets neither labelled texts nor what is lacking" {
  use_build tensorrt
  arguments_of set_precision.py
  refute_argument --labelled
  refute_argument --lacks
}

@test "all steps behind the precision take its graph" {
  local script
  use_build cuda
  for script in show_accuracy template_variables describe_hardware image_labels verify_answers; do
    assert_called "python $script.py .*$REPO/build/cls_model\.[A-Za-z0-9]{6}/model\.cuda[ /]?.*"
    assert_not_called "python $script.py .*$REPO/build/cls_model\.[A-Za-z0-9]{6}/model[ /].*"
  done
}

@test "the template gets hardware and release" {
  assert_target tensorrt template_variables.py --hardware tensorrt
  assert_argument --release 26.07
}

@test "the repository is told hardware and server" {
  assert_target tensorrt describe_hardware.py --hardware tensorrt
  assert_argument --server ngc
}

@test "the repository that is kept says its hardware" {
  use_build no_image
  assert_file_contains kept/hardware.json '"hardware": "cuda"'
}

@test "the server is laid out for server, hardware and platform" {
  assert_target arm64 server_files.py --platform linux/arm64
  assert_argument --hardware cpu
  assert_argument --server embedded
}

@test "the image labels get server, release and what is lacking" {
  assert_target cuda image_labels.py --lacks 'no GPU here'
  assert_argument --server embedded
  assert_argument --release ''
}

@test "the image is built by the server's Dockerfile on its base image" {
  use_build tensorrt
  assert_called "docker build .*--file $REPO/server/ngc/Dockerfile --build-arg BASE_IMAGE=nvcr.io/nvidia/tritonserver:26\.07-py3 --build-arg GPUS=all .*"
}

@test "the container of the gate gets all GPUs where the hardware is here" {
  use_build tensorrt
  assert_called 'docker run .*--gpus all triton_candidate:[A-Za-z0-9]+'
}

@test "the container of the gate falls back to the CPU where the hardware is not here" {
  use_build cuda
  assert_called 'docker run .* triton_candidate:[A-Za-z0-9]+ --allow-fallback'
  assert_not_called 'docker run .*--gpus.*'
}

@test "engines of the gate are kept in the image before it gets its tag" {
  use_build tensorrt
  assert_success
  assert_regex "$stderr" 'run the image, compare answers [0-9.]+ s'$'\n''\[18/19\] keep what was built and checked here [0-9.]+ s'$'\n''\[19/19\] tag '
  assert_exists "${stderr##*kept: }/verified/added/engines/stub.engine"
  assert_file_contains "$STUB_FOLDER/images/triton_ensemble_model:latest" '^label triton-image\.verified=on this hardware$'
}

@test "an image without engines of the gate is not built again for them" {
  use_build arm64
  assert_called 'docker build .*/server/added/Dockerfile .*' 1
}

@test "an image whose engines cannot be kept ends the build" {
  use_build mark
  assert_failure 1
  assert_regex "$stderr" 'error: docker build: failed as told'
  assert_no_image triton_ensemble_model:latest
  assert_tidy
}

@test "the last line names the GPUs that the image needs" {
  use_build cuda
  assert_regex "$stderr" $'\n''  docker run --gpus all -p.* triton_cls_model:1'$'\n'
}

@test "the last line names the GPUs as podman wants it, for buildah's images too" {
  local engine
  for engine in podman buildah; do
    enter_workplace "$BATS_TEST_TMPDIR/$engine"
    STUB_ENGINES="$engine" run --separate-stderr make_image --hardware cuda "${INPUTS[@]}"
    assert_success
    assert_regex "$stderr" $'\n''  podman run --device nvidia.com/gpu=all -p'
  done
}

@test "the last line of an image for a CPU names no GPUs" {
  use_build arm64
  assert_regex "$stderr" $'\n''  docker run -p'
}

@test "the last line gives NVIDIA's server the shared memory that it needs" {
  enter_workplace "$BATS_TEST_TMPDIR"
  STUB_REGISTRY=1 run --separate-stderr make_image --server ngc "${INPUTS[@]}"
  assert_success
  assert_regex "$stderr" $'\n''  docker run --shm-size=256m -p'
}

@test "an image that was not verified on its target says how to do it there" {
  use_build cuda
  assert_equal "${stderr_lines[-1]}" \
    'not verified on target (no GPU here): there, ./make_triton_image.sh --verify-only triton_cls_model:1'
  assert_output triton_cls_model:1
}

@test "an image that was verified on its target says nothing of it" {
  use_build tensorrt
  refute_regex "$stderr" 'not verified'
}

@test "a repository that was not verified on its target says so" {
  enter_workplace "$BATS_TEST_TMPDIR"
  STUB_LACKS='no GPU here' run --separate-stderr make_image --no-image --hardware cuda "${INPUTS[@]}"
  assert_success
  assert_regex "${stderr_lines[-1]}" '^verified in [0-9]+\.[0-9] s, but not on the target \(no GPU here\)$'
}

@test "another platform is given to the pull and to the build" {
  use_build arm64
  assert_success
  assert_called 'docker pull --platform linux/arm64 debian:12-slim'
  assert_called 'docker build .*--platform linux/arm64 .*' 2
}

@test "an image of another platform is not run" {
  use_build arm64
  assert_not_called 'docker run .*'
  assert_equal "$(grep -c -x verify_answers.py "$STUB_FOLDER/keys")" 1
}

@test "an image of another platform is one step less" {
  use_build arm64
  assert_regex "$stderr" $'\n''\[14/16\] build the image [0-9.]+ s'$'\n''\[15/16\] list what is in it [0-9.]+ s'$'\n''\[16/16\] tag '
}

@test "a dry run for another platform prints no run of the image" {
  dry_run --platform linux/arm64
  assert_equal "${#lines[@]}" 16
  refute_output --partial 'image docker triton_candidate'
}

@test "an image of another platform was not verified on its target" {
  use_build arm64
  assert_regex "${stderr_lines[-1]}" '^not verified on target \(this machine is linux/amd64\): '
}

@test "--registry is where the base image comes from, and nothing else will do" {
  use_build registry
  assert_failure 1
  assert_called 'docker pull mirror\.example/hub/library/debian:12-slim'
  assert_equal "$(grep '^error: ' <<<"$stderr")" 'error: mirror.example/hub/library/debian:12-slim: cannot be pulled'
  assert_not_called 'mmdebstrap .*'
  assert_tidy
}

@test "BASE_IMAGE of the environment is the base image, not the target's" {
  enter_workplace "$BATS_TEST_TMPDIR"
  make_image_file other:1
  BASE_IMAGE=other:1 run --separate-stderr make_image "${INPUTS[@]}"
  assert_success
  assert_called 'docker build .*--build-arg BASE_IMAGE=other:1 .*'
}

@test "each step trusts the user's certificates beside the public ones" {
  local bundle script variable
  use_build certificates
  assert_success
  bundle="${stderr##*kept: }/certificates.pem"
  assert_equal "$(<"$bundle")" $'public\n'"$(<"$CERTIFICATES")"
  for script in fetch.py convert_to_onnx.py server_files.py 'docker build'; do
    for variable in SSL_CERT_FILE PIP_CERT REQUESTS_CA_BUNDLE CURL_CA_BUNDLE AWS_CA_BUNDLE; do
      assert_file_contains "$STUB_FOLDER/environment/$script" "^$variable=$bundle\$"
    done
  done
}

@test "the image build gets the user's certificates alone" {
  local folder=usr/local/share/ca-certificates
  use_build certificates
  assert_equal "$(cd "${stderr##*kept: }/context/certificates" && find . -type f)" "./$folder/own.crt"
  assert_files_equal "${stderr##*kept: }/context/certificates/$folder/own.crt" "$CERTIFICATES"
}

@test "certificates that are not there are an error before anything runs" {
  enter_workplace "$BATS_TEST_TMPDIR"
  run --separate-stderr make_image --ca-file missing.pem "${INPUTS[@]}"
  assert_error 1 missing.pem
  assert_equal "$stderr" 'error: missing.pem: no such file (--ca-file takes certificates in PEM)'
  assert_no_calls
}

@test "certificates that are none are an error and leave nothing" {
  enter_workplace "$BATS_TEST_TMPDIR"
  run --separate-stderr make_image --ca-file "$LABELLED" "${INPUTS[@]}"
  assert_error 1 "$LABELLED"
  assert_not_called 'python fetch.py.*'
  assert_tidy
}

@test "a file of certificates whose name begins with a hyphen is no option" {
  enter_workplace "$BATS_TEST_TMPDIR"
  cp -- "$CERTIFICATES" ./-x
  run --separate-stderr make_image --no-image --ca-file -x "${INPUTS[@]}"
  assert_success
  assert_called 'python certificates.py --output .* -- -x'
}

@test "without --ca-file no certificates are written" {
  use_build tensorrt
  assert_not_called 'python certificates.py.*'
  assert_not_exists "${stderr##*kept: }/certificates.pem"
}

@test "a dry run prints each step of a build for other hardware" {
  local work number
  dry_run --hardware tensorrt --server ngc --platform linux/amd64 --ca-file "$CERTIFICATES" cls_model 3
  work="$REPO/build/cls_model.XXXXXX"
  assert_equal "${#lines[@]}" 18
  for number in 2=set_precision.py 6=describe_hardware.py 7=join_steps.py 8=describe_api.py 11=base_image.sh 12=server_files.py; do
    assert_line --index "${number%%=*}" --partial "$REPO/utils/${number#*=} "
  done
  assert_line --index 11 "$REPO/utils/base_image.sh docker $work/target.env $work/base_image"
  assert_line --index 14 "$REPO/utils/build_image.sh docker $work/target.env $work/base_image $work/labels $work/context triton_candidate:XXXXXX"
  assert_line --index 17 'docker tag triton_candidate:XXXXXX triton_cls_model:3'
}

@test "a dry run for other hardware writes and starts nothing" {
  dry_run --hardware tensorrt --server ngc --ca-file "$CERTIFICATES"
  assert_no_steps
  assert_not_exists "$REPO/build"
  assert_equal "$(ls -A . "$TMPDIR")" $'.:\n\n'"$TMPDIR:"
}
