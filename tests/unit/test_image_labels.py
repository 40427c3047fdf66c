"""utils/image_labels.py."""

import json
from pathlib import Path

from tests.unit.commands import error_line, run_utility
from tests.unit.reports import CPU, CPU_IMAGE, make_behaviour, make_precision, make_report
from utils.artifacts import Accuracy, Parity, write_report
from utils.image_labels import Place, image_labels, locked_versions
from utils.targets.profiles import read_profile
from utils.targets.servers import read_server

LOCK = """\
# a comment == not a pin
# via foo==9

numpy==1.26.4 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
tokenizers==0.23.3 ; python_version >= "3.11" \\
    --hash=sha256:cc
    # via numpy==9.9
"""


def test_labels_name_the_model_its_sources_and_the_builder() -> None:
    labels = image_labels(make_report(), "cls", "0.1.0", CPU_IMAGE)
    assert labels["org.opencontainers.image.title"] == "cls"
    assert labels["org.opencontainers.image.version"] == "0.1.0"
    assert labels["triton-image.model.source"] == "/models/отзывы"
    assert labels["triton-image.tokenizer.source"] == "tok"
    assert labels["triton-image.labels.source"] == "id2label.json"


def test_labels_tell_how_far_the_exported_model_is_from_the_original() -> None:
    labels = image_labels(make_report(), "cls", "0.1.0", CPU_IMAGE)
    assert labels["triton-image.parity.largest-difference"] == "3.6e-07"
    assert labels["triton-image.parity.tolerance"] == "0.0001"
    assert labels["triton-image.parity.changed-labels"] == "0"
    assert labels["triton-image.parity.texts"] == "26"


def test_labels_show_a_tolerance_that_was_loosened_and_what_it_let_through() -> None:
    parity = Parity(texts=9, largest_difference=0.0123, tolerance=0.05, changed_labels=2)
    labels = image_labels(make_report(parity=parity), "cls", "0.1.0", CPU_IMAGE)
    assert labels["triton-image.parity.largest-difference"] == "0.012"
    assert labels["triton-image.parity.tolerance"] == "0.05"
    assert labels["triton-image.parity.changed-labels"] == "2"


def test_labels_tell_how_the_model_treats_texts_and_logits() -> None:
    behaviour = make_behaviour(
        problem_type="regression", function="none", max_length=96, long_text="head-tail"
    )
    labels = image_labels(make_report(behaviour=behaviour), "cls", "0.1.0", CPU_IMAGE)
    assert labels["triton-image.problem-type"] == "regression"
    assert labels["triton-image.function"] == "none"
    assert labels["triton-image.max-length"] == "96"
    assert labels["triton-image.long-text"] == "head-tail"


def test_labels_hold_the_accuracy_of_both_models_as_compact_json() -> None:
    accuracy = Accuracy(40, {"accuracy": 0.925}, {"accuracy": 0.9})
    labels = image_labels(make_report(accuracy=accuracy), "cls", "0.1.0", CPU_IMAGE)
    assert labels["triton-image.accuracy.examples"] == "40"
    assert labels["triton-image.accuracy.before"] == '{"accuracy":0.925}'
    assert labels["triton-image.accuracy.after"] == '{"accuracy":0.9}'


def test_labels_of_a_model_without_labelled_texts_have_no_accuracy() -> None:
    labels = image_labels(make_report(), "cls", "0.1.0", CPU_IMAGE)
    assert not [key for key in labels if "accuracy" in key]


def test_labels_of_the_embedded_server_tell_what_is_known_against_it_and_where_to_read_more() -> (
    None
):
    labels = image_labels(make_report(), "cls", "0.1.0", CPU_IMAGE)
    assert labels["triton-image.sbom"] == "/opt/tritonserver/sbom.cdx.json"
    assert labels["triton-image.vulnerabilities"].startswith("52 CVEs since Triton 24.10: ")


def test_labels_hold_digests_and_versions_as_compact_json() -> None:
    labels = image_labels(make_report(), "cls", "0.1.0", CPU_IMAGE)
    assert labels["triton-image.digests"] == '{"model/config.json":"' + "ab" * 32 + '"}'
    assert json.loads(labels["triton-image.versions.build"]) == {"torch": "2.13.0+cpu"}


def test_labels_list_what_the_lock_file_puts_into_the_image() -> None:
    labels = image_labels(make_report(), "cls", "0.1.0", CPU_IMAGE)
    versions = json.loads(labels["triton-image.versions.server"])
    assert versions == locked_versions(CPU.lock_file)
    assert {"numpy", "onnxruntime", "tokenizers"} <= versions.keys()


def test_labels_tell_what_hardware_precision_and_server_an_image_is_for() -> None:
    labels = image_labels(make_report(), "cls", "0.1.0", CPU_IMAGE)
    assert labels["triton-image.hardware"] == "cpu"
    assert labels["triton-image.precision"] == "fp32"
    assert labels["triton-image.verified"] == "on this hardware"
    assert labels["triton-image.server"] == "embedded"
    assert labels["triton-image.triton.release"] == "24.10"
    assert not [key for key in labels if key.startswith("triton-image.precision.")]


def test_labels_tell_what_a_precision_changed() -> None:
    precision = make_precision("int8", texts=800, agreement=0.99625)
    labels = image_labels(make_report(precision=precision), "cls", "0.1.0", CPU_IMAGE)
    assert labels["triton-image.precision"] == "int8"
    assert labels["triton-image.precision.recipe"] == "a recipe"
    assert labels["triton-image.precision.texts"] == "800"
    assert labels["triton-image.precision.agreement"] == "0.9962"
    assert labels["triton-image.precision.largest-difference"] == "0.0013"


def test_a_graph_that_only_its_engine_computes_otherwise_has_no_recipe() -> None:
    report = make_report(precision=make_precision("bf16", recipe=""))
    labels = image_labels(report, "cls", "0.1.0", CPU_IMAGE)
    assert labels["triton-image.precision.recipe"] == "none"


def test_labels_of_an_image_on_nvidias_name_its_release_and_what_could_not_be_verified() -> None:
    place = Place(read_profile("cuda"), read_server("ngc"), release="26.08", lacks="no GPU")
    labels = image_labels(make_report(), "cls", "0.1.0", place)
    assert labels["triton-image.hardware"] == "cuda"
    assert labels["triton-image.server"] == "ngc"
    assert labels["triton-image.triton.release"] == "26.08"
    assert labels["triton-image.verified"] == "not verified on target: no GPU"
    assert "triton-image.versions.server" not in labels


def test_the_command_takes_hardware_server_and_release(tmp_path: Path) -> None:
    write_report(tmp_path, make_report())
    options = ("--hardware", "cuda", "--server", "ngc", "--release", "26.08", "--lacks", "no GPU")
    result = run_utility("image_labels.py", *options, tmp_path, "cls", "0.1.0")
    assert (result.returncode, result.stderr) == (0, "")
    assert "triton-image.hardware=cuda\n" in result.stdout
    assert "triton-image.triton.release=26.08\n" in result.stdout
    assert "triton-image.verified=not verified on target: no GPU\n" in result.stdout


def test_locked_versions_are_the_pins_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "lock.txt"
    path.write_text(LOCK)
    assert locked_versions(path) == {"numpy": "1.26.4", "tokenizers": "0.23.3"}


def test_every_label_is_one_line_even_of_a_path_with_a_newline(tmp_path: Path) -> None:
    sources = {"model": "/a\nb=c", "tokenizer": "t", "labels": "l"}
    report = make_report(sources=sources)
    write_report(tmp_path, report)
    result = run_utility("image_labels.py", tmp_path, "cls", "0.1.0")
    lines = result.stdout.splitlines()
    assert (result.returncode, result.stderr) == (0, "")
    keys = [line.partition("=")[0] for line in lines]
    assert keys == list(image_labels(report, "cls", "0.1.0", CPU_IMAGE))
    assert "triton-image.model.source=/a b=c" in lines


def test_labels_go_to_the_named_file_and_stdout_stays_empty(tmp_path: Path) -> None:
    write_report(tmp_path, make_report())
    target = tmp_path / "labels"
    result = run_utility("image_labels.py", "--output", target, tmp_path, "cls", "0.1.0")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert "org.opencontainers.image.title=cls\n" in target.read_text(encoding="utf-8")


def test_labels_of_a_folder_that_is_no_conversion_are_refused(tmp_path: Path) -> None:
    line = error_line(run_utility("image_labels.py", tmp_path, "cls", "0.1.0"))
    assert "report.json: absent or damaged" in line
