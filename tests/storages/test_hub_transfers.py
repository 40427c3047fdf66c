"""Transfers from the Hugging Face Hub that are interrupted, and bytes that come but once."""

from pathlib import Path

from tests.storages.contract import CONTENT
from tests.storages.contract import secrets as secrets
from tests.storages.hub_state import Fault, Hub, Repository
from tests.storages.hub_tests import NAME, SIZE, WEIGHTS, HubTests
from utils.storages.contract import RemoteFile
from utils.storages.hub.storage import HubStorage


class TestTransfers(HubTests):
    def test_a_dropped_connection_is_taken_up_where_it_ended(
        self, hub: Hub, tmp_path: Path
    ) -> None:
        hub.faults[WEIGHTS] = [Fault(after=90_000) for _ in range(5)]
        assert self.fetch(tmp_path / WEIGHTS) == CONTENT[WEIGHTS]
        assert hub.served[WEIGHTS] == SIZE

    def test_a_transfer_that_keeps_breaking_ends_and_the_next_call_goes_on(
        self, hub: Hub, tmp_path: Path
    ) -> None:
        hub.faults[WEIGHTS] = [Fault(after=200_000), *[Fault()] * 3]
        line = self.refusal_of_fetch(tmp_path / WEIGHTS)
        assert "cannot be reached any more, 200000 bytes of model.safetensors are here" in line
        assert self.fetch(tmp_path / WEIGHTS) == CONTENT[WEIGHTS]
        assert hub.served[WEIGHTS] == SIZE

    def test_only_what_is_missing_is_asked_for(self, hub: Hub, tmp_path: Path) -> None:
        (tmp_path / WEIGHTS).write_bytes(CONTENT[WEIGHTS][:-1000])
        assert self.fetch(tmp_path / WEIGHTS) == CONTENT[WEIGHTS]
        assert hub.served[WEIGHTS] == 1000

    def test_a_compressed_answer_whose_ranges_would_be_others_is_not_asked_for(
        self, hub: Hub, tmp_path: Path
    ) -> None:
        self.fetch(tmp_path / WEIGHTS)
        headers = [headers for path, headers in hub.asked if "/resolve/" in path]
        assert [header["accept-encoding"] for header in headers] == ["identity"]

    def test_a_file_that_is_here_is_not_asked_for(self, hub: Hub, tmp_path: Path) -> None:
        (tmp_path / WEIGHTS).write_bytes(CONTENT[WEIGHTS])
        assert self.fetch(tmp_path / WEIGHTS) == CONTENT[WEIGHTS]
        assert not any("/resolve/" in path for path, _ in hub.asked)

    def test_a_file_that_is_too_long_comes_anew(self, hub: Hub, tmp_path: Path) -> None:
        (tmp_path / WEIGHTS).write_bytes(CONTENT[WEIGHTS] + b"more")
        assert self.fetch(tmp_path / WEIGHTS) == CONTENT[WEIGHTS]
        assert hub.served[WEIGHTS] == SIZE

    def test_an_answer_that_ends_early_without_having_told_its_length_is_taken_up(
        self, hub: Hub, tmp_path: Path
    ) -> None:
        hub.tells_lengths = False
        hub.faults[WEIGHTS] = [Fault(after=300_000)]
        assert self.fetch(tmp_path / WEIGHTS) == CONTENT[WEIGHTS]
        assert hub.served[WEIGHTS] == SIZE

    def test_a_server_without_ranges_sends_the_file_anew(self, hub: Hub, tmp_path: Path) -> None:
        hub.knows_ranges = False
        hub.faults[WEIGHTS] = [Fault(after=300_000)]
        assert self.fetch(tmp_path / WEIGHTS) == CONTENT[WEIGHTS]
        assert hub.served[WEIGHTS] == 300_000 + SIZE

    def test_an_empty_file_comes(self, repository: Repository, tmp_path: Path) -> None:
        repository.commit({**CONTENT, WEIGHTS: b""})
        storage = HubStorage(NAME)
        storage.download(storage.resolve(), RemoteFile(WEIGHTS, 0), tmp_path / WEIGHTS)
        assert (tmp_path / WEIGHTS).read_bytes() == b""

    def test_a_large_file_with_another_digest_is_refused_and_removed(
        self, hub: Hub, tmp_path: Path
    ) -> None:
        (tmp_path / WEIGHTS).write_bytes(b"damaged!")
        line = self.refusal_of_fetch(tmp_path / WEIGHTS)
        assert "came with another digest than announced" in line
        assert not (tmp_path / WEIGHTS).exists()
        assert hub.served[WEIGHTS] == SIZE - 8

    def test_a_busy_server_is_asked_again(self, hub: Hub, tmp_path: Path) -> None:
        hub.faults[WEIGHTS] = [Fault(status=503)]
        assert self.fetch(tmp_path / WEIGHTS) == CONTENT[WEIGHTS]
