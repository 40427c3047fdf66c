import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.speed.contenders.contract import Contender
from benchmarks.speed.contenders.environments import environment, size_mb
from benchmarks.speed.contenders.table import contenders, folder

TEXT = 'A fine "film"\nété \\ 電影'

# What each of them sent when it was asked for a negative review.
REPLIES: dict[str, str] = {
    "bentoml": '[{"label": "negative", "score": 0.9152}]',
    "classic_ensemble": (
        '{"model_name": "classifier", "model_version": "1", "outputs": ['
        '{"name": "score", "datatype": "FP32", "shape": [1, 1], "data": [0.9152]}, '
        '{"name": "label", "datatype": "BYTES", "shape": [1, 1], "data": ["negative"]}]}'
    ),
    "fastapi_pipeline": '{"label": "negative", "score": 0.9152}',
    "infinity": (
        '{"object": "classify", "data": [[{"score": 0.9152, "label": "negative"}, '
        '{"score": 0.0848, "label": "positive"}]], "model": "classifier"}'
    ),
    "litserve": '{"label": "negative", "score": 0.9152}',
    "mlserver": (
        '{"model_name": "classifier", "id": "0", "parameters": {}, "outputs": ['
        '{"name": "output", "shape": [1, 1], "datatype": "BYTES", '
        '"parameters": {"content_type": "hg_jsonlist"}, '
        '"data": ["{\\"label\\": \\"negative\\", \\"score\\": 0.9152}"]}]}'
    ),
}

EVERY = pytest.mark.parametrize("contender", contenders(), ids=lambda contender: contender.name)


def strings(value: Any) -> list[str]:
    if isinstance(value, dict | list):
        items = value.values() if isinstance(value, dict) else value
        return [text for item in items for text in strings(item)]
    return [value] if isinstance(value, str) else []


def test_every_folder_with_files_of_its_own_is_a_contender() -> None:
    found = [path.parent.name for path in folder(contenders()[0]).parent.glob("*/requirements.txt")]
    assert sorted(found) == [contender.name for contender in contenders()]


@EVERY
def test_a_contender_is_named_as_its_folder(contender: Contender) -> None:
    assert (folder(contender) / "contender.py").is_file()


def test_titles_tell_contenders_apart() -> None:
    assert len({contender.title for contender in contenders()}) == len(contenders())


@EVERY
def test_requirements_are_pinned(contender: Contender) -> None:
    lines = (folder(contender) / "requirements.txt").read_text().splitlines()
    packages = [line for line in lines if line and not line.startswith("#")]
    assert packages
    assert [line for line in packages if line.count("==") != 1] == []


@EVERY
def test_the_text_is_in_the_body_as_it_is(contender: Contender) -> None:
    assert TEXT in strings(json.loads(contender.body(TEXT)))


@EVERY
def test_the_label_is_read_from_a_reply(contender: Contender) -> None:
    assert contender.label(json.loads(REPLIES[contender.name])) == "negative"


@EVERY
def test_a_command_serves_the_checkpoint_on_the_port(contender: Contender) -> None:
    command = contender.command(Path("/env/bin/python"), Path("/checkpoint"), 4321)
    assert command[0].startswith("/env/bin/")
    assert "/checkpoint" in command
    assert "4321" in command


@EVERY
def test_nothing_is_downloaded_while_serving(contender: Contender) -> None:
    assert contender.environment["HF_HUB_OFFLINE"] == "1"


def test_packages_that_are_not_served_do_not_count_as_size(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    for name in ("served", "torch", "torch/lib"):
        (packages / name).mkdir(parents=True, exist_ok=True)
        (packages / name / "file.so").write_bytes(b"x" * 100_000)
    python = tmp_path / "bin" / "python"
    assert 0.1 <= size_mb(python, ("torch*",)) < 0.2
    assert 0.3 <= size_mb(python, ()) < 0.4


def test_an_unfinished_environment_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []

    def make(home: Path, _: Path) -> None:
        assert not home.exists()
        (home / "bin").mkdir(parents=True)
        made.append(home)
        if len(made) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr("benchmarks.speed.contenders.environments._fill", make)
    home = tmp_path / "server"
    home.mkdir()
    (home / "requirements.txt").write_text("package==1\n")
    with pytest.raises(KeyboardInterrupt):
        environment(home, tmp_path)
    first, second = environment(home, tmp_path), environment(home, tmp_path)
    assert first == second == made[1] / "bin" / "python"
    assert len(made) == 2
