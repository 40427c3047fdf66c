#!/usr/bin/env bats
# run_triton.sh: wrong arguments, and what the engine and the embedded server are told.

load helper

setup_file() {
  make_shared_files
  copy_scripts "$BATS_FILE_TMPDIR/repo"
}

setup() {
  enter_workplace "$BATS_TEST_TMPDIR" "$BATS_FILE_TMPDIR/repo"
  export STUB_RUN_SECONDS=0
  : >"$STUB_FOLDER/images/triton_cls:latest"
  FREE=(--http-port $((11000 + $$ % 10000)) --grpc-port $((21000 + $$ % 10000)) --metrics-port $((6000 + $$ % 1000)))
}

teardown() {
  end_processes
}

triton() {
  run --separate-stderr "$REPO/run_triton.sh" "$@" 3>&-
}

# refuse SUBJECT [ARGUMENT ...]: nothing is started
refuse() {
  local subject="$1"
  shift
  triton "$@"
  assert_error 2 "$subject"
  assert_no_calls
}

# run_unchecked [ARGUMENT ...]: without a look at the ports, which may be in use on this machine
run_unchecked() {
  # shellcheck disable=SC2016
  run --separate-stderr bash -c 'source "$1/run_triton.sh"; shift; check_ports() { :; }; main "$@"' \
    bash "$REPO" "$@" 3>&-
}

# occupy: sets PORT to one that something listens at
occupy() {
  env STUB_FOLDER="$STUB_FOLDER" python3 -c 'if 1:
    import socket, sys, time
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    open(sys.argv[1], "w").write(f"{server.getsockname()[1]}\n")
    time.sleep(60)' port 3>&- &
  disown
  wait_until 10 test -s port
  PORT="$(<port)"
}

@test "no arguments are a usage error" {
  refuse run_triton.sh
}

@test "options alone are a usage error" {
  refuse run_triton.sh --http-port 9000
}

@test "an image and a repository together are a usage error" {
  refuse triton_cls:latest --repository . triton_cls:latest
}

@test "two images are a usage error" {
  refuse second triton_cls:latest second
}

@test "an unknown option is a usage error" {
  refuse --no-such-option --no-such-option triton_cls:latest
}

@test "an option without a value is a usage error" {
  refuse --http-port triton_cls:latest --http-port
}

@test "an unknown engine is a usage error" {
  refuse --engine --engine foo triton_cls:latest
}

@test "buildah is refused because it serves nothing" {
  refuse --engine --engine buildah triton_cls:latest
}

@test "a port that is no number is a usage error" {
  refuse abc --http-port abc triton_cls:latest
}

@test "the port 0 is a usage error" {
  refuse 0 --grpc-port 0 triton_cls:latest
}

@test "the port 65536 is a usage error" {
  refuse 65536 --metrics-port 65536 triton_cls:latest
}

@test "an empty port is a usage error" {
  triton --http-port '' triton_cls:latest
  assert_failure 2
  assert_one_line "$stderr"
  assert_no_calls
}

@test "a port with a leading zero is refused in one line" {
  refuse 08000 --http-port 08000 triton_cls:latest
}

@test "a port that the shell would evaluate is refused and runs nothing" {
  # shellcheck disable=SC2016
  refuse 'a[$(touch canary)]' --http-port 'a[$(touch canary)]' triton_cls:latest
  assert_not_exists canary
}

@test "a port in use for HTTP is an error and nothing is started" {
  occupy
  triton "${FREE[@]}" --http-port "$PORT" triton_cls:latest
  assert_error 1 "port $PORT"
  assert_no_calls
}

@test "a port in use for metrics is an error" {
  occupy
  triton "${FREE[@]}" --metrics-port "$PORT" triton_cls:latest
  assert_error 1 "port $PORT"
}

@test "a port in use is an error for a repository too" {
  occupy
  triton "${FREE[@]}" --grpc-port "$PORT" --repository .
  assert_error 1 "port $PORT"
}

@test "an image that the engine does not have is an error" {
  triton "${FREE[@]}" missing:latest
  assert_error 1 missing:latest
  assert_not_called 'docker run.*'
}

@test "no engine that answers is an error" {
  STUB_ENGINES='' triton "${FREE[@]}" triton_cls:latest
  assert_error 1 'container engine'
}

@test "a wanted engine that does not answer is an error" {
  triton "${FREE[@]}" --engine podman triton_cls:latest
  assert_error 1 podman
}

@test "buildah as the only engine is an error" {
  STUB_ENGINES='buildah' triton "${FREE[@]}" triton_cls:latest
  assert_error 1 buildah
  assert_not_called 'buildah run.*'
}

@test "a repository that is not there is an error" {
  triton "${FREE[@]}" --repository missing
  assert_error 1 missing
}

@test "a repository without a virtual environment is an error that names make setup" {
  PYTHON=/no/such/python triton "${FREE[@]}" --repository .
  assert_error 1 /no/such/python
  assert_regex "$stderr" 'make setup'
}

@test "the default ports are published on all addresses" {
  run_unchecked triton_cls:latest
  assert_success
  assert_called 'docker run .*--publish 0\.0\.0\.0:8000:8000 --publish 0\.0\.0\.0:8001:8001 --publish 0\.0\.0\.0:8002:8002 triton_cls:latest'
}

@test "chosen ports are published" {
  triton "${FREE[@]}" triton_cls:latest
  assert_success
  assert_called "docker run .*--publish 0\.0\.0\.0:${FREE[1]}:8000 --publish 0\.0\.0\.0:${FREE[3]}:8001 --publish 0\.0\.0\.0:${FREE[5]}:8002 triton_cls:latest"
}

@test "options may stand behind the image" {
  triton triton_cls:latest "${FREE[@]}"
  assert_success
  assert_called "docker run .*:${FREE[1]}:8000 .*"
}

@test "--address is where the ports are published" {
  run_unchecked --address 127.0.0.1 triton_cls:latest
  assert_called 'docker run .*--publish 127\.0\.0\.1:8000:8000 --publish 127\.0\.0\.1:8001:8001 --publish 127\.0\.0\.1:8002:8002 .*'
  assert_not_called 'docker run .*0\.0\.0\.0.*'
}

@test "the shared memory is 256m" {
  run_unchecked triton_cls:latest
  assert_called 'docker run .*--shm-size=256m .*'
}

@test "--shm-size sets the shared memory" {
  run_unchecked --shm-size 1g triton_cls:latest
  assert_called 'docker run .*--shm-size=1g .*'
}

@test "the container is removed when it ends" {
  run_unchecked triton_cls:latest
  assert_called 'docker run --rm .*'
}

@test "podman serves the image when it is asked to" {
  export STUB_ENGINES='docker podman'
  run_unchecked --engine podman triton_cls:latest
  assert_success
  assert_called 'podman run .* triton_cls:latest'
  assert_not_called 'docker .*'
}

@test "a repository is served at the chosen ports and address without an engine" {
  mkdir 'my repository'
  triton "${FREE[@]}" --address 127.0.0.2 --repository 'my repository'
  assert_success
  assert_called "serve MODEL_REPOSITORY=my\\\\ repository --http-address=127.0.0.2 --http-port=${FREE[1]} --grpc-address=127.0.0.2 --grpc-port=${FREE[3]} --metrics-address=127.0.0.2 --metrics-port=${FREE[5]}"
  assert_not_called '(docker|podman|buildah) .*'
}

@test "a repository is served on the loopback address unless another is asked for" {
  triton "${FREE[@]}" --repository .
  assert_called 'serve .* --http-address=127\.0\.0\.1 .* --grpc-address=127\.0\.0\.1 .* --metrics-address=127\.0\.0\.1 .*'
}

@test "--address opens a repository's server to others" {
  triton "${FREE[@]}" --address 0.0.0.0 --repository .
  assert_called 'serve .* --http-address=0\.0\.0\.0 .* --grpc-address=0\.0\.0\.0 .* --metrics-address=0\.0\.0\.0 .*'
}

# rendered_for HARDWARE: the folder `repository`
rendered_for() {
  mkdir repository
  printf '{\n  "hardware": "%s",\n  "precision": "fp16"\n}\n' "$1" >repository/hardware.json
}

@test "a repository that says nothing of hardware is served with the CPU's packages" {
  triton "${FREE[@]}" --repository .
  assert_called 'python embedded_server.py --hardware cpu'
}

@test "a repository is served with the packages of what it was rendered for" {
  rendered_for cuda
  triton "${FREE[@]}" --repository repository
  assert_success
  assert_called 'python embedded_server.py --hardware cuda'
}

@test "--hardware wins over what a repository was rendered for" {
  rendered_for cuda
  triton "${FREE[@]}" --hardware openvino --repository repository
  assert_called 'python embedded_server.py --hardware openvino'
}

@test "a hardware in hardware.json that is no name is not passed on" {
  # shellcheck disable=SC2016
  rendered_for '$(touch canary)'
  triton "${FREE[@]}" --repository repository
  assert_called 'python embedded_server.py --hardware cpu'
  assert_not_exists canary
}

@test "without --allow-fallback neither server gets it" {
  triton "${FREE[@]}" --repository .
  triton "${FREE[@]}" triton_cls:latest
  assert_not_called '.*--allow-fallback.*'
}

@test "--allow-fallback reaches the server of a repository" {
  triton "${FREE[@]}" --allow-fallback --repository .
  assert_called 'serve .* --allow-fallback'
}

@test "--allow-fallback reaches the server of an image, behind the image" {
  triton "${FREE[@]}" --allow-fallback triton_cls:latest
  assert_called 'docker run .* triton_cls:latest --allow-fallback'
}

@test "without --separate-steps neither server gets it" {
  triton "${FREE[@]}" --repository .
  triton "${FREE[@]}" triton_cls:latest
  assert_not_called '.*--separate-steps.*'
}

@test "--separate-steps reaches the server of a repository" {
  triton "${FREE[@]}" --separate-steps --repository .
  assert_called 'serve .* --separate-steps'
}

@test "--separate-steps reaches the server of an image, behind the image" {
  triton "${FREE[@]}" --separate-steps triton_cls:latest
  assert_called 'docker run .* triton_cls:latest --separate-steps'
}

@test "--separate-steps and --allow-fallback reach a server together" {
  triton "${FREE[@]}" --allow-fallback --separate-steps triton_cls:latest
  assert_called 'docker run .* triton_cls:latest --allow-fallback --separate-steps'
}

@test "without --gpus the container gets none" {
  triton "${FREE[@]}" triton_cls:latest
  assert_not_called 'docker run .*gpu.*'
}

@test "--gpus gives all GPUs to the container, with docker" {
  triton "${FREE[@]}" --gpus triton_cls:latest
  assert_called 'docker run --rm --shm-size=256m --gpus all --publish .* triton_cls:latest'
}

@test "--gpus gives all GPUs to the container, with podman" {
  STUB_ENGINES=podman triton "${FREE[@]}" --gpus triton_cls:latest
  assert_called 'podman run --rm --shm-size=256m --device nvidia.com/gpu=all --publish .* triton_cls:latest'
}

@test "--hardware without a value is a usage error" {
  refuse --hardware --repository . --hardware
}

@test "--gpus without an image is a usage error" {
  refuse --gpus --gpus --repository .
  assert_regex "$stderr" 'is for an image'
}

@test "--hardware with an image is a usage error" {
  refuse --hardware --hardware cuda triton_cls:latest
  assert_regex "$stderr" 'is for --repository'
}

@test "--gpus and --hardware without image and repository are told what is missing" {
  refuse run_triton.sh --gpus --hardware cuda
}

@test "SIGTERM ends the engine's client" {
  STUB_RUN_SECONDS=60 "$REPO/run_triton.sh" "${FREE[@]}" triton_cls:latest 3>&- &
  wait_until 10 grep -q -x 'docker run' "$STUB_FOLDER/keys"
  kill "$!"
  wait "$!" || true
  assert_no_processes
}

@test "SIGTERM ends the embedded server" {
  STUB_RUN_SECONDS=60 "$REPO/run_triton.sh" "${FREE[@]}" --repository . 3>&- &
  wait_until 10 grep -q -x serve "$STUB_FOLDER/keys"
  kill "$!"
  wait "$!" || true
  assert_no_processes
}

@test "--help prints the usage" {
  triton --help
  assert_success
  assert_line --index 0 --partial 'Usage: run_triton.sh'
}

@test "equal ports are refused" {
  refuse ports --http-port 9000 --grpc-port 9000 triton_cls:latest
}
