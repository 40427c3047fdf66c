"""utils/server_files.py: what an image gets under /opt/tritonserver."""

import os
import platform
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.in_process import call
from tests.unit.commands import ROOT, run_utility, usage_error
from utils import embedded_server, server_files
from utils.errors import UsageError
from utils.server_files import copy_tree
from utils.targets import servers
from utils.targets.profiles import Profile, read_profile
from utils.wheels import Wheels


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A server's tree, as far as copying goes."""
    folder = tmp_path / "tree"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "serve").write_text("serve")
    (folder / "bin" / "serve").chmod(0o755)
    (folder / "python3").symlink_to("/usr/bin/python3.11")
    (folder / "commands").symlink_to("bin")
    return folder


@dataclass
class Asked:
    """What was asked of the embedded server."""

    machine: str = ""
    hardware: str = ""


@pytest.fixture
def asked(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Gives the tree as the embedded server."""
    asked = Asked()

    def server_for_image(cache: Path, profile: Profile, machine: str) -> Path:
        assert cache.is_absolute()
        asked.machine, asked.hardware = machine, profile.name
        return tree

    monkeypatch.setattr(server_files, "server_for_image", server_for_image)
    return asked


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> list[Wheels]:
    """Wheels that were asked for; each has a package and a command."""
    wanted: list[Wheels] = []

    def unpack(wheels: Wheels, folder: Path, target: Path) -> None:
        assert folder == Path("/wheels")
        wanted.append(wheels)
        (target / "bin").mkdir(parents=True)
        (target / "tokenizers.py").touch()

    monkeypatch.setattr(server_files, "download_wheels", lambda *_: Path("/wheels"))
    monkeypatch.setattr(server_files, "unpack_wheels", unpack)
    return wanted


def test_a_tree_is_copied_with_its_links_and_modes(tree: Path, tmp_path: Path) -> None:
    copy_tree(tree, tmp_path / "copy")
    copy = tmp_path / "copy"
    assert (copy / "bin" / "serve").read_text() == "serve"
    assert os.access(copy / "bin" / "serve", os.X_OK)
    assert (copy / "python3").readlink() == Path("/usr/bin/python3.11")
    assert (copy / "commands").readlink() == Path("bin")


def test_a_tree_is_not_copied_where_a_link_will_do(tree: Path, tmp_path: Path) -> None:
    copy_tree(tree, tmp_path / "copy")
    assert (tmp_path / "copy" / "bin" / "serve").samefile(tree / "bin" / "serve")


def test_a_tree_is_copied_where_the_file_system_has_no_such_links(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError("another device")

    monkeypatch.setattr(os, "link", refused)
    copy_tree(tree, tmp_path / "copy")
    copied = tmp_path / "copy" / "bin" / "serve"
    assert not copied.samefile(tree / "bin" / "serve")
    assert (copied.read_text(), stat.S_IMODE(copied.stat().st_mode)) == ("serve", 0o755)
    assert (tmp_path / "copy" / "python3").is_symlink()


@pytest.mark.parametrize(
    ("words", "machine"),
    [
        ([], platform.machine()),
        (["--platform", "linux/amd64"], "x86_64"),
        (["--platform", "linux/arm64"], "aarch64"),
    ],
)
def test_an_image_on_the_embedded_server_gets_the_whole_tree_of_its_platform(
    words: list[str], machine: str, asked: Asked, tmp_path: Path
) -> None:
    call(server_files.main, *words, tmp_path / "server")
    assert (asked.machine, asked.hardware) == (machine, "cpu")
    assert (tmp_path / "server/opt/tritonserver/bin/serve").is_file()


def test_the_packages_of_the_embedded_server_are_those_of_the_profile(
    asked: Asked, tmp_path: Path
) -> None:
    call(server_files.main, "--hardware", "cuda", tmp_path / "server")
    assert asked.hardware == "cuda"


def test_nvidias_images_get_packages_and_how_to_start_them_and_no_server(
    packages: list[Wheels], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "SERVERS", tmp_path / "servers")
    folder = tmp_path / "servers" / "ngc"
    folder.mkdir(parents=True)
    (folder / "server.toml").write_text((ROOT / "server" / "ngc" / "server.toml").read_text())
    (folder / "requirements.txt").touch()
    words = ("--server", "ngc", "--hardware", "tensorrt", "--platform", "linux/arm64")
    call(server_files.main, *words, tmp_path / "server")
    assert packages == [Wheels(folder / "requirements.txt", "aarch64", "3.12")]
    found = (path for path in (tmp_path / "server").rglob("*") if path.is_file())
    names = {str(path.relative_to(tmp_path / "server/opt/tritonserver")) for path in found}
    assert names == {
        *("bin/healthcheck", "bin/machine.py", "bin/readiness.py", "bin/serve"),
        "packages/tokenizers.py",
    }
    for path in (tmp_path / "server/opt/tritonserver/bin").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o755


def test_a_platform_that_there_is_not_is_a_usage_error(tmp_path: Path) -> None:
    result = run_utility("server_files.py", "--platform", "linux/s390x", tmp_path / "server")
    assert usage_error(result) == (
        "error: --platform linux/s390x: is none of linux/amd64, linux/arm64"
    )
    assert not (tmp_path / "server").exists()


def test_a_profile_without_packages_of_its_own_has_no_embedded_server(tmp_path: Path) -> None:
    tensorrt = read_profile("tensorrt")
    asks: list[Callable[[], Path]] = [
        lambda: embedded_server.server_for_host(tmp_path, tensorrt),
        lambda: embedded_server.server_for_image(tmp_path, tensorrt, "x86_64"),
    ]
    for ask in asks:
        with pytest.raises(UsageError) as caught:
            ask()
        assert str(caught.value) == (
            "--hardware tensorrt: has no embedded server"
            " (NVIDIA's images have what it needs: --server ngc)"
        )
    assert list(tmp_path.iterdir()) == []
