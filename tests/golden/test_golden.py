"""Whole rendered configs against the checked-in ones; update.py rewrites those."""

from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from tests.golden.update import CASES, EXPECTED, ROOT, configs, render
from utils.lint_repository import lint

EXPECTED_FILES = sorted(str(path.relative_to(EXPECTED)) for path in EXPECTED.rglob("config.pbtxt"))


@pytest.fixture(scope="module", params=sorted(CASES))
def case(request: pytest.FixtureRequest) -> str:
    """The name of a case."""
    return str(request.param)


@pytest.fixture(scope="module")
def rendered(case: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository of a case."""
    return render(CASES[case], tmp_path_factory.mktemp(case))


def parsed(path: Path) -> ModelConfig:
    """A config as Triton reads it."""
    return text_format.Parse(path.read_text(encoding="utf-8"), ModelConfig())


def test_every_case_has_its_expected_configs_and_there_are_no_others() -> None:
    models = {"text_preprocessing", "model_onnx", "post_processing"}
    wanted = {
        f"{name}/{model}/config.pbtxt"
        for name, case in CASES.items()
        for model in models | {case.model_name}
    }
    assert set(EXPECTED_FILES) == wanted


def test_rendered_configs_are_the_expected_ones(case: str, rendered: Path) -> None:
    assert configs(rendered) == configs(EXPECTED / case), "python tests/golden/update.py, then diff"


def test_nothing_of_the_template_is_left_in_a_rendered_repository(rendered: Path) -> None:
    names = [path.name for path in rendered.rglob("*")]
    assert not [name for name in names if name.endswith(".template") or name == ".gitkeep"]
    assert not [text for text in configs(rendered).values() if "$" in text]


def test_the_rest_of_the_template_is_copied_as_it_is(rendered: Path) -> None:
    sources = sorted((ROOT / "model_repository").glob("*/1/*.py"))
    assert {source.name for source in sources} == {"model.py", "tokenization.py", "scoring.py"}
    for source in sources:
        copy = rendered / source.relative_to(ROOT / "model_repository")
        assert copy.read_bytes() == source.read_bytes()


def test_a_rendered_repository_with_its_graph_passes_the_lint(case: str, rendered: Path) -> None:
    (rendered / "model_onnx" / "1" / "model.onnx").touch()
    assert CASES[case].model_name in lint(rendered)


@pytest.mark.parametrize("path", EXPECTED_FILES)
def test_an_expected_config_parses_and_names_its_folder(path: str) -> None:
    config = parsed(EXPECTED / path)
    assert config.name == Path(path).parent.name
    assert config.max_batch_size == CASES[Path(path).parts[0]].max_batch_size


def test_tensors_that_an_ensemble_passes_on_are_alike_on_both_sides(case: str) -> None:
    folder = EXPECTED / case
    ensemble = parsed(folder / CASES[case].model_name / "config.pbtxt")
    models = {
        step.model_name: parsed(folder / step.model_name / "config.pbtxt")
        for step in ensemble.ensemble_scheduling.step
    }
    made = {item.name: item for item in ensemble.input}
    for step in ensemble.ensemble_scheduling.step:
        takes = {item.name: item for item in models[step.model_name].input}
        gives = {item.name: item for item in models[step.model_name].output}
        assert set(step.input_map) == set(takes)
        for name, passed in step.input_map.items():
            assert (takes[name].data_type, list(takes[name].dims)) == (
                made[passed].data_type,
                list(made[passed].dims),
            )
        made |= {passed: gives[name] for name, passed in step.output_map.items()}
    for item in ensemble.output:
        assert (item.data_type, list(item.dims)) == (
            made[item.name].data_type,
            list(made[item.name].dims),
        )


def test_no_output_of_an_ensemble_feeds_a_step(case: str) -> None:
    # Triton leaves out the step that makes it when a request does not ask for that output.
    ensemble = parsed(EXPECTED / case / CASES[case].model_name / "config.pbtxt")
    outputs = {item.name for item in ensemble.output}
    fed = {name for step in ensemble.ensemble_scheduling.step for name in step.input_map.values()}
    assert not outputs & fed
