"""What the tests of the hub's storage share."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from tests.storages.contract import CONTENT, SECRET
from tests.storages.hub_server import HubHandler
from tests.storages.hub_state import Hub, Repository
from utils.errors import UserError
from utils.storages.contract import RemoteFile
from utils.storages.hub import transfer as hub_transfer
from utils.storages.hub.storage import HubStorage

NAME = "someone/model"
WEIGHTS = "model.safetensors"
SIZE = len(CONTENT[WEIGHTS])


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A hub, and beside it a server for large files."""
    hub = Hub()
    handler = type("Handler", (HubHandler,), {"hub": hub})
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), handler) as front,
        ThreadingHTTPServer(("127.0.0.1", 0), handler) as store,
    ):
        hub.url = f"http://127.0.0.1:{front.server_port}"
        hub.storage_url = f"http://127.0.0.1:{store.server_port}"
        for server in (front, store):
            server.daemon_threads = True
            server.block_on_close = False
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield hub
        for server in (front, store):
            server.shutdown()


class HubTests:
    """Inherit it: a hub with one public repository that holds CONTENT, and us logged in."""

    @pytest.fixture
    def hub(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
        """A hub that HF_ENDPOINT names."""
        with running_hub() as hub:
            hub.tokens.add(SECRET)
            hub.repositories[NAME] = Repository()
            hub.repositories[NAME].commit(CONTENT)
            monkeypatch.setenv("HF_ENDPOINT", hub.url)
            monkeypatch.setenv("HF_TOKEN", SECRET)
            monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
            # Other tests of the same process make transformers ask nobody.
            monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
            monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
            monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
            # The library reads these at import, and this machine's user may be logged in.
            monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
            monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(tmp_path / "tokens"))
            monkeypatch.setattr(hub_transfer, "PAUSES", (0.0, 0.0))
            huggingface_hub.close_session()
            yield hub
            huggingface_hub.close_session()

    @pytest.fixture
    def repository(self, hub: Hub) -> Repository:
        """The repository NAME."""
        return hub.repositories[NAME]

    def fetch(self, target: Path, name: str = NAME) -> bytes:
        """The weights, downloaded to a path."""
        storage = HubStorage(name)
        storage.download(storage.resolve(), RemoteFile(WEIGHTS, SIZE), target)
        return target.read_bytes()

    def refusal_of_fetch(self, target: Path) -> str:
        """The one line that a download ends with."""
        with pytest.raises(UserError) as caught:
            self.fetch(target)
        line = str(caught.value)
        assert "\n" not in line
        assert SECRET not in line
        return line
