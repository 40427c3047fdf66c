"""A served repository that the tests of a run share."""

import signal
from collections.abc import Iterator

import pytest

from tests import checkpoints
from tests.serving import Rendered, Served, render, serve
from tests.texts import write_texts


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """A rendered repository of a tiny BERT, with reference answers to 200 texts."""
    folder = tmp_path_factory.mktemp("rendered")
    samples = folder / "samples.txt"
    write_texts(samples)
    return render(checkpoints.make_bert(folder), folder, "--samples", samples)


@pytest.fixture(scope="session")
def served(rendered: Rendered, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """That repository, served; tests that stop or hurt a server start their own.

    Whatever it was asked, it stops when it is told to.
    """
    with serve(rendered.repository, tmp_path_factory.mktemp("served") / "server.log") as server:
        yield server
        server.http.close()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=10) == 0
