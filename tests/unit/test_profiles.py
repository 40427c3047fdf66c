"""What lies under hardware/ and server/ reads, goes together, and is what Dockerfiles repeat."""

import re
from itertools import product
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from tests.unit.commands import ROOT
from tests.unit.graphs import BERT_INPUTS, write_graph
from tests.unit.reports import BEHAVIOUR, make_report
from utils.describe_hardware import ENGINE_FIELDS
from utils.errors import UsageError, UserError
from utils.graph import graph_tensors
from utils.precision.rewritings import rewritings
from utils.targets import profiles, servers
from utils.targets.choice import PLATFORMS, Wish, choose
from utils.targets.engine_config import engine_config
from utils.targets.machine import Machine
from utils.targets.profiles import Profile, profile_names, read_profile
from utils.targets.servers import read_server, server_names

PROFILES = {name: read_profile(name) for name in profile_names()}
PRECISIONS = [(name, key) for name, profile in PROFILES.items() for key in profile.precisions]
OFFERS = [
    (name, server, precision, platform)
    for name, profile in PROFILES.items()
    for server, precision, platform in product(
        profile.servers, profile.precisions, profile.platforms
    )
    if platform in read_server(server).platforms
]
LOCK_FILES = sorted(ROOT.glob("hardware/*/requirements.txt")) + sorted(
    ROOT.glob("server/*/requirements.txt")
)
OTHER = {"RELEASE": "26.08", "MODEL_DIGEST": "0123456789ab"}

# Lacks everything that can be lacked.
BARE = Machine("x86_64", frozenset(), 0, None, False)
ABLE = Machine("x86_64", frozenset({"avx512_vnni", "avx512_bf16"}), 0, None, False)

PROFILE = """\
summary = "a machine"
rank = 1
gpu = false
platforms = ["linux/amd64"]
servers = ["embedded"]
auto = ["fp32"]
unfit = {}
[precision.fp32]
"""


def pins(lock_file: Path) -> list[str]:
    """The requirements of a lock file, each with its hashes."""
    lines = lock_file.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    return [item for item in text.replace("\\\n", " ").splitlines() if item.strip()]


def dockerfile_default(server: str, name: str) -> str:
    """What an ARG line of a server's Dockerfile says."""
    text = read_server(server).dockerfile.read_text(encoding="utf-8")
    found = re.search(rf"^ARG {name}=(.+)$", text, re.MULTILINE)
    assert found, f"{server} has no default of {name}"
    return found[1].strip('"')


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a profile named `machine` that may be written to."""
    monkeypatch.setattr(profiles, "PROFILES", tmp_path)
    (tmp_path / "machine").mkdir()
    return tmp_path / "machine" / "profile.toml"


def test_the_cpu_is_the_first_of_the_profiles() -> None:
    assert profile_names()[0] == "cpu"
    assert {"cpu", "cuda", "tensorrt", "openvino"} <= set(profile_names())


def test_the_servers_are_the_folders_with_a_file_of_data() -> None:
    assert server_names() == ["embedded", "ngc", "ngc-slim"]


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_names_servers_and_platforms_that_there_are(name: str) -> None:
    profile = PROFILES[name]
    assert set(profile.servers) <= set(server_names())
    assert set(profile.platforms) <= set(PLATFORMS.values())
    assert profile.platforms
    for extra in (profile.cuda, profile.oldest):
        assert set(extra or {}) <= set(profile.servers)


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_chooses_between_precisions_that_it_has_fp32_among_them(name: str) -> None:
    profile = PROFILES[name]
    assert set(profile.auto) <= set(profile.precisions)
    assert profile.auto[-1] == "fp32"
    assert not profile.precisions["fp32"].cpu_flags


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_falls_back_on_one_that_needs_nothing_and_has_packages_of_its_own(
    name: str,
) -> None:
    fallback = PROFILES[PROFILES[name].fallback]
    needs = fallback.needs("fp32", fallback.servers[0])
    assert needs == {"gpu": False, "cuda": "0.0", "cpu_flags": []}
    assert fallback.lock_file in LOCK_FILES


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_names_backends_of_ours(name: str) -> None:
    profile = PROFILES[name]
    assert profile.backends
    for backend in profile.backends:
        assert (ROOT / "backends" / backend / "model.py").is_file()


@pytest.mark.parametrize(("name", "key"), PRECISIONS)
def test_a_precision_names_a_kind_of_graph_that_there_is(name: str, key: str) -> None:
    precision = PROFILES[name].precisions[key]
    assert precision.graph in ("fp32", "fp16", "fp16-standard", "int8", "int8-weights")
    assert 0.9 <= precision.agreement <= 1
    if precision.graph == "fp32":
        assert [item.write for item in rewritings(precision, make_report(), 0)] == [None]
    else:
        assert all(item.write and item.recipe for item in rewritings(precision, make_report(), 0))
    if key == "fp32":
        assert (precision.graph, precision.agreement) == ("fp32", 1)


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_says_why_it_lacks_what_other_profiles_have(name: str) -> None:
    profile = PROFILES[name]
    for kind in ("precisions", "servers", "platforms"):
        everywhere = {key for other in PROFILES.values() for key in getattr(other, kind)}
        missing = everywhere - set(getattr(profile, kind))
        assert missing <= set(profile.unfit), f"hardware/{name}: no reason"


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_gives_no_reason_against_what_it_has(name: str) -> None:
    profile = PROFILES[name]
    assert not set(profile.unfit) & {*profile.precisions, *profile.servers, *profile.platforms}


@pytest.mark.parametrize("dims", [["batch", "tokens"], ["batch", "windows", "tokens"]])
@pytest.mark.parametrize("name", PROFILES)
def test_the_engine_of_a_profile_parses_in_every_precision(
    name: str, dims: list[int | str], tmp_path: Path
) -> None:
    graph = write_graph(tmp_path / "model.onnx", shapes=dict.fromkeys(BERT_INPUTS, dims))
    inputs, _ = graph_tensors(graph)
    profile = PROFILES[name]
    for precision in profile.precisions.values():
        text = engine_config(profile, precision, inputs, BEHAVIOUR, 4, OTHER)
        config = text_format.Parse(text, ModelConfig())
        (group,) = config.instance_group
        assert group.kind == (group.KIND_GPU if profile.gpu else group.KIND_CPU)
        accelerators = config.optimization.execution_accelerators
        other = "cpu" if profile.gpu else "gpu"
        assert not getattr(accelerators, f"{other}_execution_accelerator")
        assert {field.name for field, _ in config.ListFields()} <= set(ENGINE_FIELDS)


@pytest.mark.parametrize(("name", "server", "precision", "platform"), OFFERS)
def test_what_a_profile_offers_can_be_chosen(
    name: str, server: str, precision: str, platform: str
) -> None:
    target = choose(Wish(name, precision, server, platform, ""), ABLE)
    assert (target.profile.name, target.server.name) == (name, server)
    assert list(target.precisions) == [precision]
    assert target.platform == platform


@pytest.mark.parametrize(("name", "server"), sorted({offer[:2] for offer in OFFERS}))
def test_a_servers_default_release_is_new_enough_for_its_profiles(name: str, server: str) -> None:
    release = read_server(server).release
    if release:
        assert choose(Wish(name, "", f"{server}:{release}", "", ""), BARE).release == release


@pytest.mark.parametrize("name", PROFILES)
def test_the_fastest_that_will_do_can_be_asked_of_every_profile(name: str) -> None:
    target = choose(Wish(name, "auto", "", "", ""), BARE)
    assert "fp32" in target.precisions


@pytest.mark.parametrize("name", server_names())
def test_a_server_has_one_release_or_a_base_image_for_each(name: str) -> None:
    server = read_server(name)
    assert bool(server.release) == ("{release}" in server.base_image) == (not server.suite)
    assert bool(server.release) != bool(server.triton_release)
    assert server.oldest <= server.release


def test_the_embedded_dockerfile_defaults_to_the_base_image_of_its_server() -> None:
    assert dockerfile_default("embedded", "BASE_IMAGE") == read_server("embedded").base_image


def test_the_embedded_dockerfile_installs_what_a_bootstrapped_base_has() -> None:
    packages = dockerfile_default("embedded", "BASE_PACKAGES").split()
    assert tuple(packages) == read_server("embedded").packages


def test_the_cpu_profile_has_its_lock_file() -> None:
    assert PROFILES["cpu"].lock_file in LOCK_FILES


@pytest.mark.parametrize("path", LOCK_FILES, ids=lambda path: path.parent.name)
def test_a_lock_file_has_one_version_and_hashes_of_every_package(path: Path) -> None:
    found = pins(path)
    assert found
    for pin in found:
        requirement, *hashes = pin.split("--hash=")
        assert re.match(r"[A-Za-z0-9._-]+==[^ ]+ ", requirement), pin
        assert hashes, pin
        assert all(re.fullmatch("sha256:[0-9a-f]{64} *", item) for item in hashes), pin


def test_a_profile_is_read_with_the_defaults_of_what_it_leaves_out(read: Path) -> None:
    read.write_text(PROFILE)
    profile = read_profile("machine")
    assert (profile.name, profile.summary, profile.gpu) == ("machine", "a machine", False)
    assert profile.servers == ("embedded",)
    assert profile.needs("fp32", "embedded") == {"gpu": False, "cuda": "0.0", "cpu_flags": []}


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("rank = 1", "rank = 1\nspeed = 9", "unknown: speed"),
        ("[precision.fp32]", "[precision.fp32]\nbits = 32", "unknown: bits"),
        ("[precision.fp32]", "[precision.fp16]", "fp32 or a precision of auto is missing"),
        ('auto = ["fp32"]', 'auto = ["int8", "fp32"]', "fp32 or a precision of auto is missing"),
        ('servers = ["embedded"]', "servers = []", "there is no server"),
        ("[precision.fp32]", "", "precision"),
        ("gpu = false\n", "", "'gpu'"),
        ("rank = 1", "rank =", "line 2"),
    ],
)
def test_a_profile_of_another_form_is_refused_naming_file_and_mistake(
    old: str, new: str, problem: str, read: Path
) -> None:
    assert old in PROFILE
    read.write_text(PROFILE.replace(old, new))
    with pytest.raises(UserError, match=f"^{re.escape(str(read))}: cannot be read: .*{problem}"):
        read_profile("machine")


def test_a_server_of_another_form_is_refused_naming_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "SERVERS", tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "server.toml").write_text('summary = "mine"\n')
    with pytest.raises(UserError, match=r"mine/server\.toml: cannot be read: .*base_image"):
        read_server("mine")


@pytest.mark.parametrize(("name", "key"), PRECISIONS)
def test_a_precision_of_a_profile_is_found_by_its_name(name: str, key: str) -> None:
    profile = PROFILES[name]
    assert profile.precision(key) is profile.precisions[key]


@pytest.mark.parametrize(
    ("name", "key", "possible"),
    [("cpu", "bf16", "fp32, int8"), ("cuda", "int8", "fp16, fp32"), ("tensorrt", "", "fp16, fp32")],
)
def test_a_precision_that_a_profile_has_not_is_refused_with_those_that_it_has(
    name: str, key: str, possible: str
) -> None:
    with pytest.raises(UsageError) as caught:
        PROFILES[name].precision(key)
    line = f"--hardware {name}: has no {key} (possible: {possible})"
    assert str(caught.value) == " ".join(line.split())


def test_a_profile_needs_the_driver_of_the_server_that_it_runs_on() -> None:
    cuda: Profile = PROFILES["cuda"]
    assert cuda.needs("fp16", "embedded")["cuda"] == "13.0"
    assert cuda.needs("fp16", "ngc") == {"gpu": True, "cuda": "0.0", "cpu_flags": []}
    assert PROFILES["openvino"].needs("bf16", "embedded")["cpu_flags"]
