"""The image of a tiny BERT and one container of it that outlives what all tests do to it."""

from collections.abc import Iterator

import pytest

from tests.containers import docker
from tests.image.conftest import build, docker_answers
from tests.reliability.figures import LONG, count
from tests.reliability.rows import ROWS
from tests.reliability.service import Model, Service, serving
from tests.texts import texts
from tests.variants import VARIANTS

__all__ = ["docker_answers"]

# For one test of the long form.
LONG_SECONDS = 3600

# Of a test's properties: the rows that it shows.
SHOWS = "shows"

QUESTIONS = 40


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Note of each test what it shows, for whoever sees only its outcome."""
    for item in items:
        if LONG:
            item.add_marker(pytest.mark.timeout(LONG_SECONDS))
        rows = [row for marker in item.iter_markers("row") for row in marker.args]
        unknown = set(rows) - ROWS.keys()
        assert not unknown, f"{item.nodeid}: no such rows: {unknown}"
        item.user_properties += [(SHOWS, row) for row in rows]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count the rows of a test that passed."""
    if report.when == "call" and report.passed:
        for name, row in report.user_properties:
            if name == SHOWS:
                count(str(row))


def make_model(factory: pytest.TempPathFactory, variant: str) -> Model:
    built = build(VARIANTS[variant], factory.mktemp(variant), f"steady_{variant}")
    questions = texts(QUESTIONS)
    pairs = questions[::-1] if built.variant.pairs else None
    return Model(built, questions, built.variant.answers(built.inputs, questions, pairs))


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """A tiny BERT, at most 4 texts in a batch."""
    made = make_model(tmp_path_factory, "bert")
    yield made
    docker("rmi", "--force", made.built.image, check=False)


@pytest.fixture(scope="session")
def pair_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """The same for pairs: the second text of each question is one from the other end."""
    made = make_model(tmp_path_factory, "pairs")
    yield made
    docker("rmi", "--force", made.built.image, check=False)


@pytest.fixture(scope="session")
def common(model: Model) -> Iterator[Service]:
    """A container with default settings, for all tests that it has to survive."""
    with serving(model) as service:
        yield service


@pytest.fixture
def server(common: Service) -> Iterator[Service]:
    """The common container; after each test it has to be as it was."""
    yield common
    common.assert_steady()
