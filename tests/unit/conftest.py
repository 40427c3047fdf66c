"""What the unit tests share: hypothesis settings and one tiny checkpoint of each kind."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.checkpoints import Checkpoint

# Before any test file imports torch: see tests/checkpoints.py.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

# The same examples in every run, and none too slow on a busy machine.
settings.register_profile("unit", derandomize=True, deadline=None, max_examples=100)
settings.load_profile("unit")


# torch and transformers take seconds to import: only tests that use a checkpoint pay for them.
@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A BERT with three classes; not to be written to."""
    from tests.checkpoints import make_bert

    return make_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="session")
def distilbert(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A DistilBERT with two classes; not to be written to."""
    from tests.checkpoints import make_distilbert

    return make_distilbert(tmp_path_factory.mktemp("distilbert"))


@pytest.fixture(scope="session")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A RoBERTa with three classes; not to be written to."""
    from tests.checkpoints import make_roberta

    return make_roberta(tmp_path_factory.mktemp("roberta"))
