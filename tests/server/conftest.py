"""One served repository for each kind of checkpoint, shared by the tests of a run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import checkpoints
from tests.serving import Rendered, Served, render, serve
from tests.texts import write_texts


@pytest.fixture(scope="session", params=sorted(checkpoints.BUILDERS))
def any_rendered(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Rendered:
    """A rendered repository of each kind in turn."""
    return make_rendered(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """A rendered repository of a tiny BERT."""
    return make_rendered("bert", tmp_path_factory.mktemp("rendered"))


@pytest.fixture(scope="session")
def served(rendered: Rendered, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """That repository, served; tests that stop or hurt a server start their own."""
    with serve(rendered.repository, tmp_path_factory.mktemp("served") / "server.log") as server:
        yield server


def make_rendered(kind: str, folder: Path) -> Rendered:
    """Build a checkpoint and render it, with reference answers to 200 texts."""
    checkpoint = folder / "checkpoint"
    checkpoint.mkdir()
    checkpoints.BUILDERS[kind](checkpoint)
    samples = folder / "samples.txt"
    write_texts(samples)
    return render(checkpoint, folder, samples)
