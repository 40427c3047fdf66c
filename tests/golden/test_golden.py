"""Whole rendered configs against the checked-in ones; update.py rewrites those."""

import json
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from tests.golden.update import CASES, EXPECTED, ROOT, Case, render, written
from utils.lint_repository import lint
from utils.targets.profiles import read_profile

EXPECTED_FILES = sorted(str(path.relative_to(EXPECTED)) for path in EXPECTED.rglob("*.*"))
CONFIGS = [path for path in EXPECTED_FILES if Path(path).name == "config.pbtxt"]
FALLBACK = "model_onnx/configs/fallback.pbtxt"
WITH_FALLBACK = sorted(path.split("/")[0] for path in EXPECTED_FILES if path.endswith(FALLBACK))

# What a profile may say of a model.
ENGINE_FIELDS = {
    "backend",
    "default_model_filename",
    "instance_group",
    "optimization",
    "parameters",
}


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


def expected_files(case: Case) -> set[str]:
    """What is written for a case."""
    models = {"text_preprocessing", "model_onnx", "post_processing", case.model_name}
    joined = f"{case.model_name}/joined/{case.model_name}"
    files = {"front.json", "hardware.json", *(f"{model}/config.pbtxt" for model in models)}
    files |= {f"{joined}/config.pbtxt", f"{joined}/1/steps.json"}
    if falls_back(case):
        files |= {FALLBACK, f"{joined}/configs/fallback.pbtxt", f"{joined}/1/steps-fallback.json"}
    return files


def falls_back(case: Case) -> bool:
    """Whether another machine is served by another engine, or by this one told otherwise."""
    profile = read_profile(case.hardware)
    plain = read_profile(profile.fallback).precisions["fp32"]
    if profile.fallback != profile.name:
        return True
    return profile.precisions[case.precision].engine != plain.engine


def test_every_case_has_its_expected_files_and_there_are_no_others() -> None:
    wanted = {f"{name}/{file}" for name, case in CASES.items() for file in expected_files(case)}
    assert set(EXPECTED_FILES) == wanted


def test_what_is_rendered_is_what_is_expected(case: str, rendered: Path) -> None:
    assert written(rendered) == written(EXPECTED / case), "python tests/golden/update.py, then diff"


def test_nothing_of_the_template_is_left_in_a_rendered_repository(rendered: Path) -> None:
    names = [path.name for path in rendered.rglob("*")]
    assert not [name for name in names if name.endswith(".template") or name == ".gitkeep"]
    assert not [text for text in written(rendered).values() if "$" in text]


def test_the_rest_of_the_template_is_copied_as_it_is(rendered: Path) -> None:
    sources = sorted((ROOT / "model_repository").glob("*/1/*.py"))
    assert {source.name for source in sources} == {"model.py", "tokenization.py", "scoring.py"}
    for source in sources:
        copy = rendered / source.relative_to(ROOT / "model_repository")
        assert copy.read_bytes() == source.read_bytes()


def test_a_rendered_repository_with_its_graph_passes_the_lint(case: str, rendered: Path) -> None:
    (rendered / "model_onnx" / "1" / "model.onnx").touch()
    assert CASES[case].model_name in lint(rendered)


@pytest.mark.parametrize("path", CONFIGS)
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


def test_a_repository_says_what_it_was_made_for(case: str) -> None:
    hardware = json.loads((EXPECTED / case / "hardware.json").read_text(encoding="utf-8"))
    wanted = CASES[case]
    assert (hardware["hardware"], hardware["precision"], hardware["server"]) == (
        wanted.hardware,
        wanted.precision,
        wanted.server,
    )
    config = parsed(EXPECTED / case / "model_onnx" / "config.pbtxt")
    on_gpu = config.instance_group[0].kind == config.instance_group[0].KIND_GPU
    assert hardware["needs"]["gpu"] is on_gpu
    assert hardware["fallback"] is falls_back(wanted)


def test_there_are_cases_with_a_fallback_and_without_also_where_something_is_needed() -> None:
    assert falls_back(CASES["cuda_fp32"])
    assert falls_back(CASES["openvino_bf16"])
    assert not falls_back(CASES["cpu_int8"])
    assert not falls_back(CASES["openvino_fp32"])


@pytest.mark.parametrize("name", WITH_FALLBACK)
def test_a_fallback_is_the_same_model_with_the_engine_of_a_profile_for_any_machine(
    name: str,
) -> None:
    config = parsed(EXPECTED / name / "model_onnx" / "config.pbtxt")
    fallback = parsed(EXPECTED / name / FALLBACK)
    other = {"cpu": "bert", "openvino": "openvino_fp32"}[
        read_profile(CASES[name].hardware).fallback
    ]
    cpu = parsed(EXPECTED / other / "model_onnx" / "config.pbtxt")
    for field in {item.name for item in ModelConfig.DESCRIPTOR.fields} - ENGINE_FIELDS:
        assert getattr(fallback, field) == getattr(config, field), field
    for field in ENGINE_FIELDS:
        assert getattr(fallback, field) == getattr(cpu, field), field
