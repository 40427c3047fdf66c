"""utils/storages/archives.py: archives of strangers."""

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from utils.errors import UserError
from utils.storages import archives
from utils.storages.archives import unpack
from utils.storages.wanted import WANTED, Wanted

HOSTILE_NAMES = {
    "an absolute name": "/etc/canary",
    "a name that leads out": "../canary",
    "a name that leads out from within": "model/../../canary",
    "a Windows path": "C:\\canary",
    "a drive": "C:/canary",
}


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def make_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


MAKERS: dict[str, Callable[[Path, dict[str, bytes]], Path]] = {
    "a.zip": make_zip,
    "a.tar": make_tar,
    "a.tar.gz": make_tar,
    "a.tgz": make_tar,
}


EVERYTHING = Wanted("model", ("*",), ("*",))
JSON = Wanted("model", ("*.json",), ("config.json",))


def refusal(archive: Path, folder: Path) -> str:
    """The error that unpacking ends with; nothing may be written, and nothing outside."""
    folder.mkdir()
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(UserError) as caught:
        unpack(archive, folder, EVERYTHING, archive.name)
    assert sorted(folder.parent.rglob("*")) == before
    return str(caught.value)


@pytest.mark.parametrize("name", MAKERS)
def test_wanted_files_are_unpacked_and_others_are_not(name: str, tmp_path: Path) -> None:
    archive = MAKERS[name](tmp_path / name, {"model/config.json": b"{}", "model/o.pt": b"o"})
    unpack(archive, tmp_path / "out", JSON, archive.name)
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert files == [tmp_path / "out" / "model" / "config.json"]
    assert files[0].read_bytes() == b"{}"


@pytest.mark.parametrize("maker", ["a.zip", "a.tar.gz"])
@pytest.mark.parametrize("hostile", HOSTILE_NAMES)
def test_a_name_outside_of_the_archive_is_refused(hostile: str, maker: str, tmp_path: Path) -> None:
    name = HOSTILE_NAMES[hostile]
    archive = MAKERS[maker](tmp_path / maker, {"config.json": b"{}", name: b"canary"})
    assert "outside of itself" in refusal(archive, tmp_path / "out")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_in_a_tar_is_refused(kind: bytes, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("config.json")
        info.type, info.linkname = kind, "/etc/hostname"
        archive.addfile(info)
    assert "has a link: 'config.json'" in refusal(tmp_path / "a.tar", tmp_path / "out")


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("config.json")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/hostname")
    assert "has a link: 'config.json'" in refusal(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_a_device_is_refused(kind: bytes, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("config.json")
        info.type = kind
        archive.addfile(info)
    assert "has a device: 'config.json'" in refusal(tmp_path / "a.tar", tmp_path / "out")


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_FILES", 3)
    archive = make_zip(tmp_path / "a.zip", {f"{number}.json": b"" for number in range(4)})
    assert "more than 3 files" in refusal(archive, tmp_path / "out")


def test_too_many_bytes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_BYTES", 10**3)
    archive = make_zip(tmp_path / "a.zip", {"a.json": os.urandom(2000)})
    assert "unpacks to more than" in refusal(archive, tmp_path / "out")


@pytest.mark.parametrize("maker", ["a.zip", "a.tar.gz"])
def test_a_bomb_is_refused_by_its_ratio(maker: str, tmp_path: Path) -> None:
    archive = MAKERS[maker](tmp_path / maker, {"a.json": bytes(50_000_000)})
    assert "more than 100 times its size" in refusal(archive, tmp_path / "out")


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_no_archive_is_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"no archive at all" * 100)
    assert f"{name}: not an archive" in refusal(tmp_path / name, tmp_path / "out")


def test_a_file_that_is_larger_than_its_zip_says_is_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"config.json": b"x" * 1000})
    content = bytearray(archive.read_bytes())
    # The size unpacked, in the directory at the end and before the file.
    for mark, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        place = content.index(mark) + offset
        content[place : place + 4] = (10).to_bytes(4, "little")
    archive.write_bytes(content)
    with pytest.raises(UserError):
        unpack(archive, tmp_path / "out", EVERYTHING, archive.name)


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"config.json": b"{}", "model.safetensors": b"", "evil.py": b""}, "has code in it"),
        ({"config.json": b"{}", "pytorch_model.bin": b""}, "only pytorch_model.bin"),
        ({"README.md": b""}, "has no model"),
    ],
)
def test_an_archive_of_code_or_pickles_or_nothing_is_refused_before_it_is_unpacked(
    files: dict[str, bytes], problem: str, tmp_path: Path
) -> None:
    archive = make_zip(tmp_path / "a.zip", files)
    with pytest.raises(UserError, match=problem):
        unpack(archive, tmp_path / "out", WANTED["model"], "hf://user/name")
    assert not (tmp_path / "out").exists()
