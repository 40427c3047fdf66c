"""utils/pickles.py: weights that come as pickles."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.checkpoints import Checkpoint, make_distilbert
from tests.in_process import call
from tests.unit.reports import CPU_IMAGE
from utils import convert_to_onnx, fetch
from utils.artifacts import read_report
from utils.errors import UserError
from utils.image_labels import image_labels
from utils.pickles import convert_pickles
from utils.sources import Source, read_sources


class Canary:
    """Makes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def pickled(tmp_path: Path) -> Checkpoint:
    """A checkpoint whose weights are a pickle."""
    checkpoint = make_distilbert(tmp_path / "checkpoint")
    weights = checkpoint.model / "model.safetensors"
    torch.save(load_file(weights), checkpoint.model / "pytorch_model.bin")
    weights.unlink()
    return checkpoint


def fetched(checkpoint: Checkpoint, folder: Path, *options: str) -> Source:
    """The model that fetch.py makes of it."""
    output = folder / "sources.json"
    paths = {
        "--model": checkpoint.model,
        "--tokenizer": checkpoint.tokenizer,
        "--cache": folder / "cache",
        "--output": output,
    }
    call(fetch.main, *(f"{option}={path}" for option, path in paths.items()), *options)
    return read_sources(output).model


def test_pickled_weights_are_refused(pickled: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no safetensors weights, only pytorch_model\.bin"):
        fetched(pickled, tmp_path)


def test_pickled_weights_become_the_same_safetensors_when_they_are_allowed(
    pickled: Checkpoint, tmp_path: Path
) -> None:
    model = fetched(pickled, tmp_path, "--allow-pickle")
    wanted = torch.load(pickled.model / "pytorch_model.bin", weights_only=True)
    got = load_file(Path(model.path) / "model.safetensors")
    assert wanted.keys() == got.keys()
    assert all(torch.equal(wanted[name], got[name]) for name in wanted)
    assert model.scanner.startswith("picklescan ")
    assert not (pickled.model / "model.safetensors").exists()


def test_safetensors_are_taken_where_both_are(pickled: Checkpoint, tmp_path: Path) -> None:
    make_distilbert(tmp_path / "other")
    (tmp_path / "other" / "model" / "model.safetensors").rename(pickled.model / "model.safetensors")
    model = fetched(pickled, tmp_path, "--allow-pickle")
    assert (model.path, model.scanner) == (str(pickled.model), "")


@pytest.mark.parametrize("new_format", [True, False])
def test_a_pickle_with_code_is_refused_and_does_not_run(
    new_format: bool, pickled: Checkpoint, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    torch.save(
        {"weight": torch.ones(3), "evil": Canary(canary)},
        pickled.model / "pytorch_model.bin",
        _use_new_zipfile_serialization=new_format,
    )
    with pytest.raises(UserError, match=r"names posix\.mkdir, no part of weights"):
        fetched(pickled, tmp_path, "--allow-pickle")
    assert not canary.exists()


@pytest.mark.parametrize("content", [b"", b"no pickle", b"PK\x03\x04 no zip"])
def test_what_is_no_pickle_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(UserError, match=r"hf://a/b: pytorch_model\.bin: "):
        convert_pickles(tmp_path, tmp_path, "hf://a/b")


def test_weights_that_share_memory_and_come_in_parts_are_all_there(tmp_path: Path) -> None:
    shared = torch.arange(6.0)
    torch.save({"a": shared, "b": shared[2:]}, tmp_path / "pytorch_model-00001-of-00002.bin")
    torch.save({"c": shared * 2}, tmp_path / "pytorch_model-00002-of-00002.bin")
    convert_pickles(tmp_path, tmp_path, "model")
    weights = load_file(tmp_path / "model.safetensors")
    assert {name: tensor.tolist() for name, tensor in weights.items()} == {
        "a": [0, 1, 2, 3, 4, 5],
        "b": [2, 3, 4, 5],
        "c": [0, 2, 4, 6, 8, 10],
    }


def test_the_report_says_that_weights_came_as_pickles(pickled: Checkpoint, tmp_path: Path) -> None:
    fetched(pickled, tmp_path, "--allow-pickle")
    artifacts = tmp_path / "artifacts"
    call(
        convert_to_onnx.main,
        *("--sources", tmp_path / "sources.json", "--save-dir", artifacts),
    )
    report = read_report(artifacts)
    assert report.pickle_scanner.startswith("picklescan ")
    assert report.sources["model"] == str(pickled.model)
    labels = image_labels(report, "cls_model", "1", CPU_IMAGE)
    assert labels["triton-image.pickle.scanner"] == report.pickle_scanner
