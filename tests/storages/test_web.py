"""Files at addresses, against a web server on this machine."""

import base64
import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.storages.contract import CONTENT, SECRET, secrets
from tests.storages.packing import PACKED, ArchiveContract, tar_gz
from tests.storages.web_server import Site
from utils.errors import UserError
from utils.storages.cache import Cache
from utils.storages.contract import RemoteFile

__all__ = ["secrets"]

ARCHIVE = tar_gz(CONTENT)


class TestWeb(ArchiveContract):
    """The contract, kept by an address."""

    scheme = "http"

    @pytest.fixture
    def stack(self) -> Iterator[contextlib.ExitStack]:
        with contextlib.ExitStack() as stack:
            yield stack

    @pytest.fixture
    def site(self, stack: contextlib.ExitStack) -> Site:
        site = Site({f"/models/{PACKED}": ARCHIVE})
        stack.enter_context(site.running())
        return site

    @pytest.fixture
    def name(self, site: Site) -> str:
        return f"127.0.0.1:{site.port}/models/{PACKED}"

    @pytest.fixture
    def absent_name(self, site: Site) -> str:
        return f"127.0.0.1:{site.port}/models/nothing.tar.gz"

    @pytest.fixture
    def changed(self, site: Site) -> AbstractContextManager[None]:
        @contextlib.contextmanager
        def context() -> Iterator[None]:
            site.files[f"/models/{PACKED}"] = ARCHIVE[::-1]
            yield

        return context()

    @pytest.fixture
    def unreachable(self, stack: contextlib.ExitStack) -> AbstractContextManager[None]:
        @contextlib.contextmanager
        def context() -> Iterator[None]:
            stack.close()
            yield

        return context()

    def downloaded(self, name: str, target: Path) -> bytes:
        """What a download makes of a target."""
        storage = self.storage(name)
        storage.download(storage.resolve(), RemoteFile(PACKED, len(ARCHIVE)), target)
        return target.read_bytes()

    def test_a_transfer_that_broke_goes_on_where_it_broke(
        self, name: str, site: Site, tmp_path: Path
    ) -> None:
        target = tmp_path / PACKED
        site.drop_after = 200_000
        with pytest.raises(UserError, match="the transfer broke"):
            self.downloaded(name, target)
        arrived = target.stat().st_size
        assert self.downloaded(name, target) == ARCHIVE
        assert 0 < arrived <= 200_000
        assert site.asked[-2] == ("GET", f"/models/{PACKED}", f"bytes={arrived}-")

    def test_a_server_without_ranges_sends_it_all_again(
        self, name: str, site: Site, tmp_path: Path
    ) -> None:
        site.ranges = False
        target = tmp_path / PACKED
        target.write_bytes(ARCHIVE[:1000])
        assert self.downloaded(name, target) == ARCHIVE

    @pytest.mark.parametrize("tag", ["tag", 'W/"1"'])
    def test_a_file_that_changed_since_it_was_listed_is_not_taken(
        self, tag: str, name: str, site: Site, tmp_path: Path
    ) -> None:
        site.marks = {"ETag": tag}
        storage = self.storage(name)
        revision = storage.resolve()
        site.files[f"/models/{PACKED}"] = ARCHIVE[::-1]
        site.marks = {"ETag": tag.replace("1", "2")}
        with pytest.raises(UserError, match="changed while it was fetched"):
            storage.download(revision, RemoteFile(PACKED, None), tmp_path / PACKED)
        assert not (tmp_path / PACKED).read_bytes()

    def test_without_a_tag_the_time_of_the_last_change_is_the_revision(
        self, name: str, site: Site
    ) -> None:
        site.marks = {"Last-Modified": "Fri, 01 Mar 2024 10:00:00 GMT"}
        before = self.storage(name).resolve()
        assert self.storage(name).resolve() == before
        site.marks = {"Last-Modified": "Fri, 01 Mar 2024 10:00:01 GMT"}
        assert self.storage(name).resolve() != before

    def test_without_any_mark_every_time_is_another_revision(self, name: str, site: Site) -> None:
        site.marks = {}
        assert self.storage(name).resolve() != self.storage(name).resolve()

    def test_a_file_without_any_mark_is_fetched(self, name: str, site: Site, cache: Cache) -> None:
        site.marks = {}
        assert self.obtained(name, cache)["config.json"] == CONTENT["config.json"]

    def test_a_password_comes_from_netrc(
        self, name: str, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site.user = "Basic " + base64.b64encode(b"me:mine").decode()
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        assert "no access" in self.refusal(name)
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
        assert self.downloaded(name, tmp_path / PACKED) == ARCHIVE

    def test_a_signature_in_an_address_is_sent_and_not_shown(self, name: str, site: Site) -> None:
        line = self.refusal(f"{name}.missing?sig={SECRET}")
        assert line == f"http://{name}.missing?…: there is nothing of that name"
        assert site.asked[-1][1].endswith(f"?sig={SECRET}")

    def test_an_address_without_a_file_is_refused(self, site: Site) -> None:
        assert "names no file" in self.refusal(f"127.0.0.1:{site.port}/")
