"""server/bin/serve, with a tritonserver that only writes down how it was started."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.commands import ROOT, Result, error_line

# What it is started with wherever it runs.
ALWAYS = [
    "--model-control-mode=none",
    "--disable-auto-complete-config",
    "--exit-on-error=true",
    "--strict-readiness=true",
    "--exit-timeout-secs=8",
    "--allow-sagemaker=false",
    "--allow-vertex-ai=false",
]
NO_PINNED_MEMORY = "--pinned-memory-pool-byte-size=0"
FALLBACK = "--model-config-name=fallback"

STUB = """\
#!/bin/sh
printf '%s\\n' "$@"
printf 'PATH=%s\\nLD_LIBRARY_PATH=%s\\n' "$PATH" "$LD_LIBRARY_PATH"
printf 'ORT_DISABLE_TELEMETRY=%s\\nLANG=%s\\nAIP_MODE=%s\\n' "$ORT_DISABLE_TELEMETRY" "$LANG" "${AIP_MODE-unset}"
"""  # noqa: E501


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A server's tree without a Python of its own."""
    folder = tmp_path / "tritonserver"
    shutil.copytree(ROOT / "server" / "bin", folder / "bin")
    stub = folder / "bin" / "tritonserver"
    stub.write_text(STUB)
    stub.chmod(0o755)
    return folder


class Repository:
    """A repository, as far as it matters here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "model_onnx").mkdir(parents=True)
        self.kind("CPU")

    def kind(self, kind: str) -> None:
        """Where its instances are."""
        text = f"instance_group [ {{ kind: KIND_{kind} count: 1 }} ]\n"
        (self.folder / "model_onnx" / "config.pbtxt").write_text(text)

    def needs(self, *flags: str, fallback: bool = True) -> None:
        """What it needs of the CPU; nothing else."""
        hardware = {
            "hardware": "cuda",
            "precision": "fp16",
            "needs": {"gpu": False, "cuda": "0.0", "cpu_flags": flags},
            "fallback": fallback,
        }
        (self.folder / "hardware.json").write_text(json.dumps(hardware))


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    """One for any CPU."""
    yield Repository(tmp_path / "models")


def serve(tree: Path, repository: Repository, *words: str, **environment: str) -> Result:
    """Run it to its end."""
    unset = {"ALLOW_FALLBACK", "SEPARATE_STEPS", "AIP_MODE", "LD_LIBRARY_PATH"}
    unset |= {"FRONT", "MODEL_REPOSITORY_IMAGE"}
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    return subprocess.run(
        [tree / "bin" / "serve", *words],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
        env={**kept, "MODEL_REPOSITORY": str(repository.folder), **environment},
    )


def started(result: Result) -> list[str]:
    """The arguments of tritonserver."""
    assert result.returncode == 0, result.stderr
    return [line for line in result.stdout.splitlines() if line.startswith("--")]


def environment(result: Result) -> dict[str, str]:
    """The environment of tritonserver, as far as the stub tells it."""
    lines = (line for line in result.stdout.splitlines() if not line.startswith("--"))
    return dict(line.split("=", 1) for line in lines)


def test_a_repository_for_the_cpu_is_served_without_anything_for_gpus(
    tree: Path, repository: Repository
) -> None:
    arguments = started(serve(tree, repository))
    assert sorted(arguments) == sorted(
        [
            f"--model-repository={repository.folder}",
            f"--backend-directory={tree}/backends",
            *ALWAYS,
            "--allow-gpu-metrics=false",
            NO_PINNED_MEMORY,
        ]
    )


def test_a_repository_for_a_gpu_has_its_metrics_and_pinned_memory(
    tree: Path, repository: Repository
) -> None:
    repository.kind("GPU")
    arguments = started(serve(tree, repository))
    assert "--allow-gpu-metrics=true" in arguments
    assert NO_PINNED_MEMORY not in arguments


def test_a_machine_without_the_hardware_is_refused_before_the_server_starts(
    tree: Path, repository: Repository
) -> None:
    repository.needs("abacus")
    line = error_line(serve(tree, repository))
    assert line.startswith("error: hardware: made for cuda, fp16, but the CPU has none of abacus")


@pytest.mark.parametrize(
    ("words", "variables"), [(["--allow-fallback"], {}), ([], {"ALLOW_FALLBACK": "1"})]
)
def test_a_fallback_that_was_allowed_is_served_on_the_cpu_with_a_warning(
    words: list[str], variables: dict[str, str], tree: Path, repository: Repository
) -> None:
    repository.needs("abacus")
    repository.kind("GPU")
    result = serve(tree, repository, *words, **variables)
    arguments = started(result)
    assert FALLBACK in arguments
    assert "--allow-gpu-metrics=false" in arguments
    assert NO_PINNED_MEMORY in arguments
    assert "--allow-fallback" not in arguments
    (line,) = result.stderr.splitlines()
    assert line.startswith("warning: hardware: ")


def test_a_fallback_is_not_taken_where_the_hardware_is_there(
    tree: Path, repository: Repository
) -> None:
    repository.needs()
    result = serve(tree, repository, "--allow-fallback", ALLOW_FALLBACK="1")
    assert FALLBACK not in started(result)
    assert result.stderr == ""


def test_a_repository_without_a_fallback_is_not_served_on_a_machine_that_lacks_something(
    tree: Path, repository: Repository
) -> None:
    repository.needs("abacus", fallback=False)
    line = error_line(serve(tree, repository, "--allow-fallback", ALLOW_FALLBACK="1"))
    assert line.startswith("error: hardware: made for cuda, fp16, but the CPU has none of abacus")
    assert "no other way to serve it was built in" in line


def test_a_damaged_hardware_json_ends_the_start_with_one_line(
    tree: Path, repository: Repository
) -> None:
    (repository.folder / "hardware.json").write_text('{"hardware":')
    line = error_line(serve(tree, repository))
    assert line.startswith(f"error: {repository.folder}/hardware.json: cannot be read: ")


def test_only_a_1_allows_the_fallback_from_the_environment(
    tree: Path, repository: Repository
) -> None:
    repository.needs("abacus")
    assert serve(tree, repository, ALLOW_FALLBACK="0").returncode == 1


def test_other_arguments_are_tritonservers_own_and_come_last(
    tree: Path, repository: Repository
) -> None:
    words = ["--http-port=1", "--log-verbose=1"]
    arguments = started(serve(tree, repository, words[0], "--allow-fallback", words[1]))
    assert arguments[-2:] == words


def test_the_repository_of_an_image_lies_in_models(tree: Path, repository: Repository) -> None:
    arguments = started(serve(tree, repository, MODEL_REPOSITORY=""))
    assert "--model-repository=/models" in arguments


def test_the_stubs_python_and_libraries_are_those_of_the_tree(
    tree: Path, repository: Repository
) -> None:
    result = serve(tree, repository, LD_LIBRARY_PATH="/elsewhere", AIP_MODE="PREDICTION")
    seen = environment(result)
    assert seen["PATH"].split(":")[0] == str(tree / "python" / "bin")
    assert seen["LD_LIBRARY_PATH"] == f"{tree}/lib:/elsewhere"
    assert (seen["ORT_DISABLE_TELEMETRY"], seen["LANG"]) == ("1", "C.UTF-8")
    assert seen["AIP_MODE"] == "unset"


def join_steps(repository: Repository) -> str:
    """Let it have joined steps; the argument that serves them."""
    folder = repository.folder / "cls" / "joined"
    (folder / "cls").mkdir(parents=True)
    (folder / "cls" / "config.pbtxt").touch()
    return f"--model-repository={folder}"


@pytest.fixture
def embedded(tree: Path) -> Path:
    """The tree of a server that can serve joined steps."""
    (tree / "backends" / "classifier").mkdir(parents=True)
    return tree


def test_joined_steps_are_served_by_a_server_that_can(
    embedded: Path, repository: Repository
) -> None:
    joined = join_steps(repository)
    assert joined in started(serve(embedded, repository))


def test_steps_are_served_apart_by_a_server_that_has_nothing_else(
    tree: Path, repository: Repository
) -> None:
    join_steps(repository)
    assert f"--model-repository={repository.folder}" in started(serve(tree, repository))


def test_a_repository_without_joined_steps_is_served_as_it_is(
    embedded: Path, repository: Repository
) -> None:
    assert f"--model-repository={repository.folder}" in started(serve(embedded, repository))


@pytest.mark.parametrize(
    ("words", "variables"), [(["--separate-steps"], {}), ([], {"SEPARATE_STEPS": "1"})]
)
def test_steps_are_served_apart_where_that_is_wanted(
    words: list[str], variables: dict[str, str], embedded: Path, repository: Repository
) -> None:
    join_steps(repository)
    arguments = started(serve(embedded, repository, *words, **variables))
    assert f"--model-repository={repository.folder}" in arguments
    assert "--separate-steps" not in arguments


def test_only_a_1_separates_the_steps_from_the_environment(
    embedded: Path, repository: Repository
) -> None:
    joined = join_steps(repository)
    assert joined in started(serve(embedded, repository, SEPARATE_STEPS="0"))


def test_joined_steps_need_what_the_whole_repository_does(
    embedded: Path, repository: Repository
) -> None:
    join_steps(repository)
    repository.needs("abacus")
    line = error_line(serve(embedded, repository))
    assert line.startswith("error: hardware: made for cuda")


def test_joined_steps_have_a_fallback_too(embedded: Path, repository: Repository) -> None:
    joined = join_steps(repository)
    repository.needs("abacus")
    arguments = started(serve(embedded, repository, "--allow-fallback"))
    assert {joined, FALLBACK} <= set(arguments)


def test_joined_steps_use_the_gpu_that_the_graph_does(
    embedded: Path, repository: Repository
) -> None:
    join_steps(repository)
    repository.kind("GPU")
    assert "--allow-gpu-metrics=true" in started(serve(embedded, repository))


def fake_python(folder: Path, configuration: str) -> Path:
    """A folder with a python3 that only says which configuration to serve."""
    folder.mkdir(parents=True)
    (folder / "python3").write_text(f"#!/bin/sh\necho {configuration}\n")
    (folder / "python3").chmod(0o755)
    return folder


def test_the_trees_own_python_looks_at_the_machine_where_there_is_one(
    tree: Path, repository: Repository, tmp_path: Path
) -> None:
    fake_python(tree / "python" / "bin", "fallback")
    other = fake_python(tmp_path / "bin", "other")
    result = serve(tree, repository, PATH=f"{other}:{os.environ['PATH']}")
    assert FALLBACK in started(result)


def test_the_systems_python_looks_at_the_machine_where_the_tree_has_none(
    tree: Path, repository: Repository, tmp_path: Path
) -> None:
    python = fake_python(tmp_path / "bin", "fallback")
    result = serve(tree, repository, PATH=f"{python}:{os.environ['PATH']}")
    assert FALLBACK in started(result)


# In place of supervise.py, which tests/unit/test_supervise.py is about.
SUPERVISE_STUB = """\
import sys
print("supervised", *sys.argv[1:], sep="\\n")
"""

IN_IMAGE = {"MODEL_REPOSITORY_IMAGE": "1"}


@pytest.fixture
def with_front(tree: Path) -> Path:
    """The tree of a server that can have a front."""
    (tree / "front").mkdir()
    (tree / "bin" / "supervise.py").write_text(SUPERVISE_STUB)
    return tree


def is_supervised(result: Result) -> bool:
    """Whether the server was started by the supervisor."""
    assert result.returncode == 0, result.stderr
    return result.stdout.startswith("supervised\n")


def refusal(result: Result) -> str:
    """The one line of a start that was asked for what cannot be."""
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    return line


def test_in_an_image_the_embedded_server_has_a_front(
    with_front: Path, repository: Repository
) -> None:
    result = serve(with_front, repository, **IN_IMAGE)
    assert is_supervised(result)
    assert result.stdout.splitlines()[1] == f"{with_front}/bin/tritonserver"


def test_the_front_changes_nothing_of_how_the_server_is_started(
    with_front: Path, repository: Repository
) -> None:
    words = ["--log-verbose=1"]
    alone = started(serve(with_front, repository, *words))
    assert started(serve(with_front, repository, *words, **IN_IMAGE)) == alone


def test_outside_of_an_image_there_is_no_front_unless_one_is_asked_for(
    with_front: Path, repository: Repository
) -> None:
    assert not is_supervised(serve(with_front, repository))
    assert is_supervised(serve(with_front, repository, FRONT="on"))


def test_a_front_that_is_turned_off_is_not_there_in_an_image_either(
    with_front: Path, repository: Repository
) -> None:
    assert not is_supervised(serve(with_front, repository, FRONT="off", **IN_IMAGE))


def test_an_empty_front_is_one_that_was_not_set(with_front: Path, repository: Repository) -> None:
    assert not is_supervised(serve(with_front, repository, FRONT=""))
    assert is_supervised(serve(with_front, repository, FRONT="", **IN_IMAGE))


@pytest.mark.parametrize("value", ["1", "ON", "no"])
def test_a_front_that_is_neither_on_nor_off_is_refused(
    value: str, with_front: Path, repository: Repository
) -> None:
    line = refusal(serve(with_front, repository, FRONT=value, **IN_IMAGE))
    assert line == f"error: FRONT: must be on or off, not '{value}'"


def test_a_server_without_a_front_is_served_alone_in_its_image(
    tree: Path, repository: Repository
) -> None:
    assert not is_supervised(serve(tree, repository, **IN_IMAGE))


@pytest.mark.parametrize(
    "name", ["API_KEY", "API_KEY_FILE", "TLS_CERTIFICATE_FILE", "TLS_KEY_FILE"]
)
def test_an_image_without_a_front_refuses_what_only_a_front_keeps(
    name: str, tree: Path, repository: Repository
) -> None:
    line = refusal(serve(tree, repository, **IN_IMAGE, **{name: "x"}))
    assert line == f"error: {name}: is for a server with a front"
    # On a user's own machine it may be for something else.
    assert not is_supervised(serve(tree, repository, **{name: "x"}))


def test_a_front_that_is_asked_for_and_not_there_is_refused(
    tree: Path, repository: Repository
) -> None:
    line = refusal(serve(tree, repository, FRONT="on"))
    assert line == "error: FRONT: is on, but this server has none"


ADDRESSES = [
    f"--{name}{part}"
    for name in ("http", "grpc", "metrics")
    for part in ("-port=18000", "-address=0.0.0.0")
] + ["--allow-http=true", "--allow-grpc=true", "--allow-metrics=false"]


@pytest.mark.parametrize("argument", ADDRESSES)
def test_behind_a_front_the_servers_addresses_are_not_for_the_user_to_choose(
    argument: str, with_front: Path, repository: Repository
) -> None:
    line = refusal(serve(with_front, repository, argument, **IN_IMAGE))
    name = argument.split("=")[0]
    assert line.startswith(f"error: {name}: is for a server without a front (")


def test_an_address_in_a_word_of_its_own_is_refused_too(
    with_front: Path, repository: Repository
) -> None:
    line = refusal(serve(with_front, repository, "--http-port", "18000", **IN_IMAGE))
    assert line.startswith("error: --http-port: ")


@pytest.mark.parametrize("argument", ADDRESSES)
def test_without_a_front_addresses_reach_the_server(
    argument: str, with_front: Path, repository: Repository
) -> None:
    arguments = started(serve(with_front, repository, argument, FRONT="off", **IN_IMAGE))
    assert arguments[-1] == argument


@pytest.mark.parametrize(
    "argument",
    ["--grpc-use-ssl=true", "--http-thread-count=4", "--metrics-interval-ms=500"],
)
def test_what_is_no_address_reaches_the_server_behind_a_front(
    argument: str, with_front: Path, repository: Repository
) -> None:
    assert started(serve(with_front, repository, argument, **IN_IMAGE))[-1] == argument


@pytest.fixture
def with_vulnerabilities(with_front: Path) -> Path:
    """The same with the note of what is known against it."""
    (with_front / "vulnerabilities.md").touch()
    return with_front


@pytest.mark.parametrize("setting", ["FRONT=off", "GRPC=on"])
def test_a_container_whose_clients_reach_the_server_itself_says_so(
    setting: str, with_vulnerabilities: Path, repository: Repository
) -> None:
    name, _, value = setting.partition("=")
    result = serve(with_vulnerabilities, repository, **IN_IMAGE, **{name: value})
    assert result.stderr.splitlines() == [
        f"warning: {setting}: clients reach Triton 24.10 itself, for trusted networks only"
        f" ({with_vulnerabilities}/vulnerabilities.md)"
    ]


def test_nothing_is_said_where_the_front_stands_or_outside_of_an_image(
    with_vulnerabilities: Path, repository: Repository
) -> None:
    assert serve(with_vulnerabilities, repository, **IN_IMAGE).stderr == ""
    assert serve(with_vulnerabilities, repository, FRONT="off").stderr == ""
