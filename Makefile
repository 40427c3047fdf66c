# Every target does its own set-up.
.PHONY: help setup setup-dev setup-optimum setup-storage demo test lint test-unit test-shell test-storages test-server test-architectures test-optimum \
  test-image test-reliability test-arm64 bench bench-quick bench-perf-analyzer bench-packages bench-build bench-hardware bench-accuracy supported-models bench-export lock format clean

PYTHON_IN_VENV := .venv/bin/python

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: ## Virtual environment and system packages for building images
	@scripts/setup.sh

setup-dev: ## The same and what the tests need
	@scripts/setup.sh --dev

setup-optimum: ## A second environment for --exporter optimum
	@scripts/setup.sh --optimum

setup-storage: ## The client of a storage: make setup-storage NAME=clearml
	@scripts/setup.sh --storage "$(NAME)"

demo: setup ## Train a small classifier, build its image, ask it
	@scripts/with_docker.sh scripts/demo.sh

test: setup-dev ## All tests but those for arm64, lint first
	@scripts/test.sh

lint: setup-dev ## shellcheck, shfmt, ruff, mypy, hadolint
	@scripts/test.sh lint

test-unit: setup-dev ## Python tests without a server
	@scripts/test.sh unit

test-shell: setup-dev ## Shell tests with stub executables
	@scripts/test.sh shell

test-storages: setup-dev ## Tests of storages, with their real clients
	@scripts/test.sh storages

test-server: setup-dev ## Tests on the real tritonserver
	@scripts/test.sh server

test-architectures: setup-dev ## Every type of transformers' text classifiers, converted and served
	@scripts/test.sh architectures

test-optimum: setup-dev ## Tests of --exporter optimum in its own environment
	@scripts/test.sh optimum

test-image: setup-dev ## Tests on real images
	@scripts/test.sh image

test-reliability: setup-dev ## The long form of what a served image must survive, into docs/reliability.md
	@scripts/with_docker.sh $(PYTHON_IN_VENV) -m benchmarks.reliability

test-arm64: setup-dev ## An image for arm64 on x86-64; needs qemu-user-static, binfmt-support, arch-test
	@scripts/test.sh arm64

bench: setup bench-packages ## Speed beside the limit and peers, 45 minutes, into docs/performance.md
	@$(PYTHON_IN_VENV) -m benchmarks.speed
	@$(PYTHON_IN_VENV) -m benchmarks.speed.plots
	@$(PYTHON_IN_VENV) -m benchmarks.speed.tables

bench-quick: setup ## The same in 5 minutes, to see that it works
	@$(PYTHON_IN_VENV) -m benchmarks.speed --quick --minutes 4

bench-perf-analyzer: setup ## Speed by NVIDIA's perf_analyzer, into docs/performance.md
	@$(PYTHON_IN_VENV) -m benchmarks.speed.perf_analyzer

bench-packages: setup
	@$(PYTHON_IN_VENV) -m pip install --quiet --disable-pip-version-check --requirement benchmarks/speed/requirements.txt

bench-build: setup ## Size, ready time and build times, into benchmarks/results and the README
	@scripts/with_docker.sh $(PYTHON_IN_VENV) benchmarks/build.py

bench-hardware: setup ## Profiles and precisions on a real model, into docs/hardware.md
	@scripts/with_docker.sh $(PYTHON_IN_VENV) benchmarks/hardware.py

bench-accuracy: setup ## What --labelled says of the demo's classifier, into the README
	@$(PYTHON_IN_VENV) benchmarks/accuracy.py

supported-models: setup-dev ## The tables of supported models, from a walk of all types
	@$(PYTHON_IN_VENV) tests/architectures/walk.py

bench-export: setup ## Exporters and attention implementations, into benchmarks/results
	@$(PYTHON_IN_VENV) benchmarks/export.py

lock: setup-dev ## Renew the hashes of what ships in images
	@scripts/lock.sh

format: setup-dev ## Format shell and Python
	@scripts/test.sh format

clean: ## Remove build outputs
	@./cleanup.sh
