"""utils/targets/choice.py and utils/choose_target.py: what an image is made for."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.commands import read_by_shell, run_utility
from utils.choose_target import assignments
from utils.errors import UsageError
from utils.targets import choice
from utils.targets.choice import Target, Wish, choose, mirrored
from utils.targets.machine import Machine
from utils.targets.profiles import read_profile
from utils.targets.servers import SERVERS, read_server

DIGEST = "sha256:" + "0a" * 32

PLAIN = Machine("x86_64", frozenset({"avx2"}), 0, None, False)
AVX512 = replace(PLAIN, cpu_flags=frozenset({"avx2", "avx512f"}))
VNNI = replace(PLAIN, cpu_flags=frozenset({"avx2", "avx_vnni"}))
BF16 = replace(PLAIN, cpu_flags=AVX512.cpu_flags | {"amx_bf16"})
GPU = replace(AVX512, gpus=1, cuda=(13, 0), gpu_shown=True)
ARM = replace(PLAIN, architecture="aarch64", cpu_flags=frozenset({"asimd"}))


def chosen(
    hardware: str = "cpu",
    precision: str = "",
    server: str = "",
    platform: str = "",
    registry: str = "",
    machine: Machine = PLAIN,
) -> Target:
    """The target of a wish on a machine."""
    return choose(Wish(hardware, precision, server, platform, registry), machine)


def refusal(*wish: str, machine: Machine = PLAIN) -> str:
    """The error that hardware, precision, server and platform end with."""
    hardware, precision, server, platform = (*wish, *[""] * (4 - len(wish)))
    with pytest.raises(UsageError) as caught:
        choose(Wish(hardware, precision, server, platform, ""), machine)
    return str(caught.value)


def test_without_a_wish_it_is_fp32_on_the_cpu_of_this_machine_by_the_embedded_server() -> None:
    target = chosen()
    assert (target.profile.name, list(target.precisions)) == ("cpu", ["fp32"])
    assert (target.server.name, target.release, target.platform) == ("embedded", "", "linux/amd64")
    assert (target.base_image, target.suite) == ("debian:12-slim", "bookworm")
    assert (target.lacks, target.embedded, target.plain) == ("", "cpu", True)


@pytest.mark.parametrize("name", ["cpu", "openvino", "cuda", "tensorrt"])
def test_a_profiles_first_server_and_precision_are_its_defaults(name: str) -> None:
    profile = read_profile(name)
    target = chosen(name)
    assert target.server.name == profile.servers[0]
    assert list(target.precisions) == [next(iter(profile.precisions))]
    assert target.release == read_server(profile.servers[0]).release


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        (PLAIN, "cpu"),
        (AVX512, "openvino"),
        (GPU, "cuda"),
        (replace(GPU, cpu_flags=frozenset()), "cuda"),
        (replace(GPU, cuda=(12, 8)), "openvino"),
        (replace(GPU, gpus=0), "openvino"),
        (ARM, "cpu"),
        (replace(GPU, architecture="aarch64"), "cpu"),
    ],
)
def test_auto_takes_the_best_profile_that_the_machine_has(machine: Machine, name: str) -> None:
    assert chosen("auto", machine=machine).profile.name == name


def test_auto_never_takes_a_profile_without_a_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    # TensorRT's engines have to be built where they run.
    monkeypatch.setattr(choice, "_profiles", lambda: [read_profile("tensorrt")])
    with pytest.raises(UsageError, match="no profile fits this machine"):
        chosen("auto", machine=GPU)


def test_auto_finds_no_profile_for_an_unknown_machine() -> None:
    with pytest.raises(
        UsageError, match=r"^--hardware auto: no profile fits this machine \(one of cpu"
    ):
        chosen("auto", machine=replace(PLAIN, architecture="riscv64"))


@pytest.mark.parametrize(
    ("name", "machine", "precisions"),
    [
        ("cpu", PLAIN, ["fp32"]),
        ("cpu", VNNI, ["int8", "fp32"]),
        ("cuda", GPU, ["fp16", "fp32"]),
        ("openvino", BF16, ["bf16", "int8", "fp32"]),
        ("openvino", AVX512, ["int8", "fp32"]),
    ],
)
def test_precision_auto_tries_those_that_the_machine_can_compute(
    name: str, machine: Machine, precisions: list[str]
) -> None:
    target = chosen(name, "auto", machine=machine)
    assert list(target.precisions) == precisions
    assert target.lacks == ""


def test_a_precision_that_the_profile_has_is_the_only_one_tried() -> None:
    target = chosen("cpu", "int8", machine=VNNI)
    assert list(target.precisions) == ["int8"]
    assert target.precisions["int8"] == read_profile("cpu").precisions["int8"]


def test_a_precision_that_nothing_here_could_check_is_refused() -> None:
    assert refusal("cpu", "int8") == (
        "--precision int8: cannot be checked here,"
        " the CPU has none of avx512_vnni, avx_vnni, asimddp"
        " (possible: cpu in fp32, or a machine that has it)"
    )


def test_a_precision_whose_fallback_is_another_engine_is_built_for_another_machine() -> None:
    target = chosen("openvino", "bf16", machine=AVX512)
    assert target.lacks == "the CPU has none of avx512_bf16, amx_bf16"


@pytest.mark.parametrize(
    ("name", "precision", "plain"),
    [("cpu", "fp32", True), ("cpu", "int8", False), ("cpu", "auto", False),
     ("cuda", "fp32", False), ("openvino", "bf16", False)],
)  # fmt: skip
def test_only_a_graph_that_is_served_as_exported_to_the_last_digits_is_plain(
    name: str, precision: str, plain: bool
) -> None:
    assert chosen(name, precision, machine=VNNI).plain is plain


SERVER_NAMES = "possible: embedded, ngc, ngc-slim"
PLATFORM_NAMES = "possible: linux/amd64, linux/arm64"


@pytest.mark.parametrize(
    ("wish", "problem", "hint"),
    [
        (
            ("gpu",),
            "--hardware 'gpu': no such profile",
            "possible: cpu, cuda, openvino, tensorrt, auto",
        ),
        (
            ("cpu", "int4"),
            "--precision 'int4': there is no such",
            "possible: bf16, fp16, fp32, int8, auto",
        ),
        (("cpu", "", "triton"), "--server 'triton': there is no such", SERVER_NAMES),
        (("cpu", "", ":26.08"), "--server '': there is no such", SERVER_NAMES),
        (
            ("cpu", "", "", "linux/s390x"),
            "--platform 'linux/s390x': there is no such",
            PLATFORM_NAMES,
        ),
        (
            ("cpu", "", "ngc:latest"),
            "--server ngc:latest: is no release",
            "such as ngc:26.08, or with @sha256:…",
        ),
        (
            ("cpu", "", "ngc:26.08@sha256:12"),
            "--server ngc:26.08@sha256:12: is no release",
            "such as ngc:26.08, or with @sha256:…",
        ),
        (
            ("cpu", "", "ngc:24.09"),
            "--server ngc:24.09: not with --hardware cpu",
            "possible: 24.10 and later",
        ),
        (
            ("cpu", "", "ngc-slim:24.11"),
            "--server ngc-slim:24.11: not with --hardware cpu",
            "possible: 24.12 and later",
        ),
        (
            ("tensorrt", "", "ngc:26.06"),
            "--server ngc:26.06: not with --hardware tensorrt",
            "possible: 26.07 and later",
        ),
        (
            ("tensorrt", "", f"ngc:26.06@{DIGEST}"),
            f"--server ngc:26.06@{DIGEST}: not with --hardware tensorrt",
            "possible: 26.07 and later",
        ),
    ],
)
def test_what_there_is_not_is_refused_naming_what_is_possible(
    wish: tuple[str, ...], problem: str, hint: str
) -> None:
    assert refusal(*wish) == f"{problem} ({hint})"


def test_a_server_without_releases_takes_none() -> None:
    error = refusal("cpu", "", "embedded:24.10")
    assert error == "--server embedded:24.10: has no releases to choose from"


@pytest.mark.parametrize(
    ("wish", "unfit", "option", "hint"),
    [
        (("cpu", "bf16"), "bf16", "--precision", "possible: fp32, int8"),
        (("cuda", "int8"), "int8", "--precision", "possible: fp16, fp32"),
        (("tensorrt", "", "embedded"), "embedded", "--server", "possible: ngc, ngc-slim"),
        (("cuda", "", "", "linux/arm64"), "linux/arm64", "--platform", "possible: linux/amd64"),
    ],
)
def test_what_a_profile_has_not_is_refused_with_its_reason_and_what_it_has(
    wish: tuple[str, ...], unfit: str, option: str, hint: str
) -> None:
    reason = read_profile(wish[0]).unfit[unfit]
    assert refusal(*wish) == f"{option} {unfit}: not with --hardware {wish[0]}, {reason} ({hint})"


@pytest.mark.parametrize(
    "wish",
    [
        ("x" * 10_000,),
        ("cpu", "x" * 10_000),
        ("cpu", "", "x" * 10_000),
        ("cpu", "", "ngc:" + "1" * 10_000),
        ("cpu", "", "embedded:" + "1" * 10_000),
        ("cpu", "", "", "x" * 10_000),
    ],
)
def test_a_long_value_is_cut_in_its_refusal(wish: tuple[str, ...]) -> None:
    assert len(refusal(*wish)) < 200


def test_a_platform_that_a_server_has_not_is_refused_naming_the_servers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = replace(read_server("embedded"), platforms=("linux/amd64",))
    monkeypatch.setattr(choice, "read_server", lambda _: server)
    assert refusal("cpu", "", "", "linux/arm64") == (
        "--platform linux/arm64: not with --server embedded (possible: linux/amd64)"
    )


def test_a_machine_of_an_unknown_kind_has_no_platform() -> None:
    error = refusal("cpu", machine=replace(PLAIN, architecture="riscv64"))
    assert error.startswith("--platform 'linux/riscv64': there is no such (possible: linux/amd64")


@pytest.mark.parametrize(
    ("server", "release", "image"),
    [
        ("ngc", "26.08", "nvcr.io/nvidia/tritonserver:26.08-py3"),
        ("ngc:", "26.08", "nvcr.io/nvidia/tritonserver:26.08-py3"),
        ("ngc:24.10", "24.10", "nvcr.io/nvidia/tritonserver:24.10-py3"),
        ("ngc-slim:27.01", "27.01", "nvcr.io/nvidia/tritonserver:27.01-py3"),
        (f"ngc:26.07@{DIGEST}", "26.07", f"nvcr.io/nvidia/tritonserver:26.07-py3@{DIGEST}"),
    ],
)
def test_a_release_and_its_digest_are_those_of_the_base_image(
    server: str, release: str, image: str
) -> None:
    target = chosen(server=server)
    assert (target.release, target.base_image, target.suite) == (release, image, "")


@pytest.mark.parametrize(
    ("image", "there"),
    [
        ("debian:12-slim", "mirror.local:5000/library/debian:12-slim"),
        ("bitnami/minideb", "mirror.local:5000/bitnami/minideb"),
        ("docker.io/library/debian", "mirror.local:5000/library/debian"),
        ("localhost:5000/debian:12", "mirror.local:5000/debian:12"),
        ("localhost/debian:12", "mirror.local:5000/debian:12"),
        ("nvcr.io/nvidia/triton:26.08-py3", "mirror.local:5000/nvidia/triton:26.08-py3"),
        (f"debian@{DIGEST}", f"mirror.local:5000/library/debian@{DIGEST}"),
        (f"nvcr.io/nvidia/triton@{DIGEST}", f"mirror.local:5000/nvidia/triton@{DIGEST}"),
    ],
)
def test_a_registry_takes_the_place_of_a_references_own(image: str, there: str) -> None:
    assert mirrored(image, "mirror.local:5000") == there
    assert mirrored(image, "mirror.local:5000/") == there


def test_a_registry_may_have_a_path() -> None:
    assert mirrored("debian:12", "host/proxy/hub") == "host/proxy/hub/library/debian:12"


def test_what_parts_of_an_image_are_copied_to_comes_from_the_registry_too() -> None:
    assert chosen(server="ngc-slim").slim_base == "ubuntu:24.04"
    there = chosen(server="ngc-slim", registry="mirror.local").slim_base
    assert there == "mirror.local/library/ubuntu:24.04"
    assert chosen(server="ngc", registry="mirror.local").slim_base == ""


def test_without_a_registry_a_reference_stays() -> None:
    assert mirrored("debian:12-slim", "") == "debian:12-slim"


def test_who_names_a_registry_gets_no_bootstrapped_base_instead() -> None:
    target = chosen(registry="mirror.local")
    assert (target.base_image, target.suite) == ("mirror.local/library/debian:12-slim", "")


@pytest.mark.parametrize(("machine", "platform"), [(PLAIN, "linux/amd64"), (ARM, "linux/arm64")])
def test_the_platform_is_the_machines_unless_said_otherwise(
    machine: Machine, platform: str
) -> None:
    assert chosen(machine=machine).platform == platform
    assert chosen(platform="linux/arm64", machine=machine).platform == "linux/arm64"


def test_an_image_for_another_platform_cannot_be_checked_here() -> None:
    target = chosen(platform="linux/arm64")
    assert (target.lacks, target.foreign) == ("this machine is linux/amd64", True)
    same = chosen(platform="linux/amd64")
    assert (same.lacks, same.foreign) == ("", False)


def test_an_image_whose_hardware_is_not_here_is_still_for_this_processor() -> None:
    assert not chosen("cuda").foreign


@pytest.mark.parametrize(
    ("name", "precision", "machine", "lacks"),
    [
        ("cuda", "", PLAIN, "no NVIDIA driver is visible"),
        ("cuda", "", replace(GPU, cuda=(12, 8)), "serves CUDA 12.8, 13.0 is needed"),
        ("cuda", "", GPU, ""),
        ("tensorrt", "", GPU, ""),
        ("tensorrt", "", PLAIN, "no NVIDIA driver is visible"),
        ("openvino", "bf16", AVX512, "the CPU has none of avx512_bf16, amx_bf16"),
        ("openvino", "bf16", BF16, ""),
        ("openvino", "fp32", PLAIN, ""),
    ],
)
def test_what_this_machine_has_not_of_the_target_is_said_and_does_not_stop_a_build(
    name: str, precision: str, machine: Machine, lacks: str
) -> None:
    got = chosen(name, precision, machine=machine).lacks
    assert lacks in got
    assert bool(lacks) == bool(got)


def test_the_driver_that_nvidias_images_need_is_their_own_business() -> None:
    assert chosen("cuda", server="ngc", machine=replace(GPU, cuda=(12, 0))).lacks == ""


def test_a_profile_with_packages_of_its_own_serves_a_repository_where_its_hardware_is(
    tmp_path: Path,
) -> None:
    target = chosen("cuda", machine=GPU)
    (tmp_path / "cuda").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("utils.targets.profiles.PROFILES", tmp_path)
        assert target.embedded == "cpu"
        (tmp_path / "cuda" / "requirements.txt").touch()
        assert target.embedded == "cuda"
        assert replace(target, lacks="a GPU").embedded == "cpu"


def test_the_command_prints_assignments_that_a_shell_reads_back() -> None:
    result = run_utility("choose_target.py", "--hardware", "tensorrt", "--precision", "auto")
    assert (result.returncode, result.stderr) == (0, "")
    names = list(assignments(chosen()))
    values = read_by_shell(result.stdout, names)
    assert values["HARDWARE"] == "tensorrt"
    assert values["PRECISIONS"] == "fp16 fp32"
    assert (values["GPU"], values["PLAIN"], values["FOREIGN"]) == ("1", "0", "0")
    assert (values["SERVER"], values["SERVER_RELEASE"]) == ("ngc", "26.08")
    assert values["BASE_IMAGE"] == "nvcr.io/nvidia/tritonserver:26.08-py3"
    assert values["BASE_SUITE"] == values["BASE_PACKAGES"] == ""
    assert values["DOCKERFILE"] == str(SERVERS / "ngc" / "Dockerfile")


def test_every_assignment_is_one_quoted_line() -> None:
    target = replace(chosen(), lacks="it's $(not) here")
    for name, value in assignments(target).items():
        assert shlex.split(f"{name}={shlex.quote(value)}") == [f"{name}={value}"]
    assert assignments(target)["BASE_PACKAGES"].startswith("libnginx-mod-http-lua libpython3.11 ")


def test_the_command_writes_the_same_to_the_named_file(tmp_path: Path) -> None:
    result = run_utility("choose_target.py", "--output", tmp_path / "target.env")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert "HARDWARE=cpu\n" in (tmp_path / "target.env").read_text(encoding="utf-8")


def test_a_target_that_cannot_be_ends_the_command_with_2_and_one_line() -> None:
    result = run_utility("choose_target.py", "--hardware", "nonesuch")
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert re.match("error: --hardware 'nonesuch': no such profile .possible: cpu, ", line)
