"""Tokens, private and gated repositories, and what the hub's refusals become."""

import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.storages.contract import CONTENT, SECRET
from tests.storages.contract import secrets as secrets
from tests.storages.hub_server import SIGNATURE
from tests.storages.hub_state import Fault, Hub, Repository
from tests.storages.hub_tests import NAME, WEIGHTS, HubTests
from utils.errors import UserError
from utils.folders import ROOT
from utils.storages.hub.storage import HubStorage


class TestAccess(HubTests):
    def refusal(self, name: str = NAME) -> str:
        """The one line that resolving ends with."""
        with pytest.raises(UserError) as caught:
            HubStorage(name).resolve()
        line = str(caught.value)
        assert "\n" not in line
        assert SECRET not in line
        return line

    def test_a_private_repository_comes_with_the_token_of_the_environment(
        self, repository: Repository, tmp_path: Path
    ) -> None:
        repository.access, repository.readers = "private", {SECRET}
        assert self.fetch(tmp_path / WEIGHTS) == CONTENT[WEIGHTS]

    def test_a_private_repository_comes_with_the_token_of_hf_auth_login(
        self, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        repository.access, repository.readers = "private", {SECRET}
        monkeypatch.delenv("HF_TOKEN")
        Path(constants.HF_TOKEN_PATH).write_text(SECRET)
        assert self.fetch(tmp_path / WEIGHTS) == CONTENT[WEIGHTS]

    @pytest.mark.parametrize("logged_in", [True, False])
    def test_a_private_repository_of_others_may_not_exist_at_all(
        self, logged_in: bool, repository: Repository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        repository.access = "private"
        if not logged_in:
            monkeypatch.delenv("HF_TOKEN")
        line = self.refusal()
        assert "no such model, or one that is private" in line
        assert "hf auth login" in line

    def test_a_token_that_the_hub_does_not_know_is_said_to_be_so(
        self, hub: Hub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub.tokens.clear()
        monkeypatch.setenv("HF_TOKEN", f"wrong-{SECRET}")
        line = self.refusal()
        assert "the token was refused (401): Invalid credentials" in line
        assert "hf auth login" in line

    @pytest.mark.parametrize("token", [f"{SECRET}\x0b{SECRET}", f"{SECRET}é"])
    def test_a_token_that_no_header_can_carry_is_not_repeated(
        self, token: str, hub: Hub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HF_TOKEN", token)
        assert "the token has characters that no token has" in self.refusal()
        assert not hub.asked

    def test_a_gated_repository_asks_for_access_and_a_login(
        self, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub.repositories[NAME].access = "gated"
        monkeypatch.delenv("HF_TOKEN")
        line = self.refusal_of_fetch(tmp_path / WEIGHTS)
        assert "is gated (401)" in line
        assert f"ask for access at {hub.url}/{NAME}, then hf auth login" in line

    def test_a_gated_repository_asks_only_for_access_when_logged_in(
        self, hub: Hub, tmp_path: Path
    ) -> None:
        hub.repositories[NAME].access = "gated"
        line = self.refusal_of_fetch(tmp_path / WEIGHTS)
        assert "is gated (403): you are not in the authorized list" in line
        assert line.endswith(f"(ask for access at {hub.url}/{NAME})")

    def test_a_gated_repository_comes_to_those_with_access(
        self, repository: Repository, tmp_path: Path
    ) -> None:
        repository.access, repository.readers = "gated", {SECRET}
        assert self.fetch(tmp_path / WEIGHTS) == CONTENT[WEIGHTS]

    def test_the_server_of_large_files_does_not_get_the_token(
        self, hub: Hub, tmp_path: Path
    ) -> None:
        self.fetch(tmp_path / WEIGHTS)
        tokens = {path.split("/")[1]: headers.get("authorization") for path, headers in hub.asked}
        assert tokens == {"api": f"Bearer {SECRET}", "someone": f"Bearer {SECRET}", "lfs": None}

    def test_a_refusal_of_the_server_of_large_files_does_not_repeat_the_signature(
        self, hub: Hub, tmp_path: Path
    ) -> None:
        hub.faults[WEIGHTS] = [Fault(status=403)]
        line = self.refusal_of_fetch(tmp_path / WEIGHTS)
        assert "access was refused (403)" in line
        assert SIGNATURE not in line

    def test_credentials_in_the_address_of_the_hub_are_not_repeated(
        self, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub.repositories[NAME].access = "gated"
        monkeypatch.setenv("HF_ENDPOINT", hub.url.replace("//", f"//me:{SECRET}@"))
        assert f"ask for access at {hub.url}/{NAME}" in self.refusal_of_fetch(tmp_path / WEIGHTS)

    def test_something_that_is_no_hub_is_said_to_be_none(
        self, hub: Hub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HF_ENDPOINT", f"{hub.url}/portal")
        assert "127.0.0.1 does not answer like a hub" in self.refusal()

    def test_a_hub_that_the_user_switched_off_is_not_asked(
        self, hub: Hub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        assert "HF_HUB_OFFLINE forbids to reach the hub" in self.refusal()
        assert not hub.asked


def test_the_storage_does_not_import_what_keeps_the_library_offline() -> None:
    script = "import sys, utils.storages.hub; print('utils.frameworks' in sys.modules)"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
