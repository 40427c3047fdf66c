"""Archives on this machine."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.storages.contract import CONTENT, MODEL_FILES, secrets
from tests.storages.packing import PACKED, ArchiveContract, tar_gz, zipped
from utils.storages.cache import Cache

__all__ = ["secrets"]


class TestLocalArchives(ArchiveContract):
    """The contract, kept by a file."""

    scheme = "local"

    @pytest.fixture
    def name(self, tmp_path: Path) -> str:
        path = tmp_path / PACKED
        path.write_bytes(tar_gz(CONTENT))
        return str(path)

    @pytest.fixture
    def absent_name(self, tmp_path: Path) -> str:
        return str(tmp_path / "nothing.tar.gz")

    @pytest.fixture
    def changed(self, name: str) -> AbstractContextManager[None]:
        @contextlib.contextmanager
        def context() -> Iterator[None]:
            path = Path(name)
            path.write_bytes(path.read_bytes()[:-1] + b"?")
            yield

        return context()

    @pytest.fixture
    def unreachable(self) -> AbstractContextManager[None]:
        # There is no server: what is on this machine always answers.
        return contextlib.nullcontext()

    # Nothing is to be fetched, so it is there offline whether it was obtained before or not.
    def test_offline_without_having_it_says_so(self, name: str, cache: Cache) -> None:
        assert set(self.obtained(name, cache, offline=True)) == MODEL_FILES

    # A path is named as the user wrote it, without a scheme.
    def test_a_name_of_nothing_is_one_line_that_names_it(self, absent_name: str) -> None:
        assert self.refusal(absent_name) == f"{absent_name}: there is nothing of that name"

    # There is no server; what the system does not let anyone read is the nearest to it.
    def test_a_server_that_does_not_answer_is_one_line_that_says_so(
        self, name: str, unreachable: AbstractContextManager[None]
    ) -> None:
        path = Path(name)
        path.unlink()
        path.symlink_to(path.name)
        with unreachable:
            assert self.refusal(name).startswith(f"{name}: ")

    @pytest.mark.parametrize(("suffix", "packed"), [(".zip", zipped), (".tgz", tar_gz)])
    def test_other_archives_are_unpacked_too(
        self,
        suffix: str,
        packed: Callable[[Mapping[str, bytes]], bytes],
        tmp_path: Path,
        cache: Cache,
    ) -> None:
        path = tmp_path / f"model{suffix}"
        path.write_bytes(packed(CONTENT))
        assert set(self.obtained(str(path), cache)) == MODEL_FILES
