"""utils/describe_api.py: what the front and its clients are told of a model."""

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import supervise
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.golden.update import EXPECTED
from tests.in_process import call
from tests.unit.commands import ROOT, error_line, run_utility
from utils import describe_api
from utils.lint_repository import lint

TEMPLATE = json.loads((ROOT / "server" / "front" / "openapi.json").read_text("utf-8"))

LABELS = ["negative", "тревога", "👍"]

WRITTEN = {"front.json", "openapi.json"}

# By what comes of it: the statuses of the operations that ask for an inference, and of all.
OF_INFERENCES = {"200", "400", "401", "405", "413", "415", "429", "500", "502", "503", "504"}
STATUSES = {
    "/classify": OF_INFERENCES,
    "/v2/health/live": {"200", "405", "502", "504"},
    "/v2/health/ready": {"200", "405", "503"},
    "/v2": {"200", "405", "503"},
    "/v2/models/ratings": {"200", "401", "405", "502", "504"},
    "/v2/models/ratings/ready": {"200", "405", "503"},
    "/v2/models/ratings/infer": OF_INFERENCES,
}
WITHOUT_KEY = {"/v2/health/live", "/v2/health/ready", "/v2", "/v2/models/ratings/ready"}

TEXT = {"$ref": "#/components/schemas/Text"}
TEXTS = {"$ref": "#/components/schemas/Texts"}
ROWS = {"$ref": "#/components/schemas/Rows"}


def output(name: str, data_type: str, item: str, size: int) -> dict[str, Any]:
    """What an output of a response looks like."""
    return {
        "type": "object",
        "properties": {
            "name": {"const": name},
            "datatype": {"const": data_type},
            "shape": {
                "type": "array",
                "prefixItems": [ROWS, {"const": size}],
                "minItems": 2,
                "maxItems": 2,
            },
            "data": {"type": "array", "items": {"type": item}},
        },
        "required": ["name", "datatype", "shape"],
    }


RATINGS = {
    "OneText": {"properties": {"text": TEXT}, "required": ["text"]},
    "SeveralTexts": {"properties": {"texts": TEXTS}, "required": ["texts"]},
    "Label": {"enum": LABELS},
    "Score": {"minimum": 0, "maximum": 1},
    "Result": {"minItems": 3, "maxItems": 3},
    "Rows": {"maximum": 4},
    "Inputs": {
        "minItems": 1,
        "maxItems": 1,
        "allOf": [{"contains": {"properties": {"name": {"const": "text_input"}}}}],
    },
    "InputName": {"enum": ["text_input"]},
    "Outputs": {"maxItems": 5},
    "OutputName": {"enum": ["predicts", "labels", "scores", "logits", "truncated"]},
    "Output": {
        "oneOf": [
            output("predicts", "BYTES", "string", 1),
            output("labels", "BYTES", "string", 3),
            output("scores", "FP32", "number", 3),
            output("logits", "FP32", "number", 3),
            output("truncated", "BOOL", "boolean", 1),
        ]
    },
}
ENTAILMENT = RATINGS | {
    "OneText": {"properties": {"text": TEXT, "text_pair": TEXT}, "required": ["text", "text_pair"]},
    "SeveralTexts": {
        "properties": {"texts": TEXTS, "text_pairs": TEXTS},
        "required": ["texts", "text_pairs"],
    },
    "Result": {"minItems": 1, "maxItems": 1},
    "Inputs": {
        "minItems": 2,
        "maxItems": 2,
        "allOf": [
            {"contains": {"properties": {"name": {"const": "text_input"}}}},
            {"contains": {"properties": {"name": {"const": "text_pair"}}}},
        ],
    },
    "InputName": {"enum": ["text_input", "text_pair"]},
    "Output": {
        "oneOf": [
            output("predicts", "BYTES", "string", 1),
            output("labels", "BYTES", "string", 1),
            output("scores", "FP32", "number", 1),
            output("logits", "FP32", "number", 3),
            output("truncated", "BOOL", "boolean", 1),
        ]
    },
}

Render = Callable[..., Path]


@pytest.fixture
def rendered(tmp_path: Path) -> Render:
    """A repository of a golden case with labels, not yet described."""

    def render(case: str, labels: list[str] | None = None) -> Path:
        repository = tmp_path / case
        shutil.copytree(EXPECTED / case, repository)
        (repository / "front.json").unlink()
        write_labels(repository, labels or LABELS)
        return repository

    return render


@pytest.fixture
def repository(rendered: Render) -> Path:
    """One of one text at a time and three classes."""
    return rendered("bert")


def write_labels(repository: Path, labels: list[str]) -> None:
    """Write id2label.json where post_processing reads it."""
    path = repository / "post_processing" / "1" / "id2label.json"
    path.parent.mkdir(exist_ok=True)
    text = json.dumps({str(number): label for number, label in enumerate(labels)})
    path.write_text(text, encoding="utf-8")


def change(repository: Path, old: str, new: str) -> Path:
    """Change the ensemble's configuration; its path."""
    path = repository / "ratings" / "config.pbtxt"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def describe(repository: Path) -> dict[str, Any]:
    """What openapi.json says."""
    call(describe_api.main, repository)
    content: dict[str, Any] = json.loads((repository / "openapi.json").read_text("utf-8"))
    return content


def own(document: Mapping[str, Any]) -> dict[str, Any]:
    """What the schemas of a document have that the template's have not; those must be there."""
    schemas = document["components"]["schemas"]
    known = TEMPLATE["components"]["schemas"]
    assert list(schemas) == list(known)
    found = {}
    for name, schema in schemas.items():
        assert schema.items() >= known[name].items()
        if added := {key: value for key, value in schema.items() if key not in known[name]}:
            found[name] = added
    return found


def refusals(document: Mapping[str, Any], schema: str, instance: object) -> list[str]:
    """What a schema of a document has against an instance."""
    validator = OAS31Validator(
        {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    )
    return [error.message for error in validator.iter_errors(instance)]


def files(folder: Path) -> dict[str, str]:
    """Path to text, of all files."""
    return {
        str(path.relative_to(folder)): path.read_text("utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_two_files_are_written_beside_the_models_and_nothing_else(repository: Path) -> None:
    before = files(repository)
    describe(repository)
    after = files(repository)
    assert set(after) - set(before) == WRITTEN
    assert {path: after[path] for path in before} == before


@pytest.mark.parametrize("case", ["bert", "pairs", "regression"])
def test_the_front_is_told_names_and_the_largest_batch(case: str, rendered: Render) -> None:
    labels = ["stars"] if case == "regression" else LABELS
    repository = rendered(case, labels)
    describe(repository)
    assert (repository / "front.json").read_text() == (EXPECTED / case / "front.json").read_text()


def test_inputs_are_in_the_order_of_the_ensemble(rendered: Render) -> None:
    repository = rendered("pairs")
    describe(repository)
    contract = json.loads((repository / "front.json").read_text())
    assert contract["inputs"] == ["text_input", "text_pair"]


@pytest.mark.parametrize("case", ["bert", "pairs"])
def test_the_document_is_a_sound_openapi_3_1_document(case: str, rendered: Render) -> None:
    document = describe(rendered(case))
    assert document["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_every_reference_of_the_document_leads_somewhere(repository: Path) -> None:
    document = describe(repository)
    for path in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)):
        place: Any = document
        for key in path.split("/"):
            place = place[key]


def test_the_document_is_the_template_with_what_only_the_model_has(repository: Path) -> None:
    document = describe(repository)
    assert own(document) == RATINGS
    for name in ("openapi", "security"):
        assert document[name] == TEMPLATE[name]
    assert document["info"] == TEMPLATE["info"] | {"title": "ratings"}
    assert list(document["paths"].values()) == list(TEMPLATE["paths"].values())
    for name in ("securitySchemes", "headers", "responses"):
        assert document["components"][name] == TEMPLATE["components"][name]


def test_a_model_of_pairs_takes_two_texts(rendered: Render) -> None:
    assert own(describe(rendered("pairs"))) == ENTAILMENT


def test_scores_of_logits_themselves_have_no_bounds(rendered: Render) -> None:
    added = own(describe(rendered("regression", ["stars"])))
    assert "Score" not in added
    assert added["Label"] == {"enum": ["stars"]}
    assert added["Rows"] == {"maximum": 16}


def test_labels_are_listed_up_to_a_thousand(rendered: Render) -> None:
    repository = rendered("bert", [f"label {number}" for number in range(1000)])
    assert len(own(describe(repository))["Label"]["enum"]) == 1000
    write_labels(repository, [f"label {number}" for number in range(1001)])
    assert "Label" not in own(describe(repository))


def test_labels_are_in_the_order_of_their_classes(rendered: Render) -> None:
    repository = rendered("bert")
    path = repository / "post_processing" / "1" / "id2label.json"
    labels = {str(number): letter for number, letter in enumerate("abcdefghijk")}
    path.write_text(json.dumps(labels, sort_keys=True))
    assert list(json.loads(path.read_text())) == ["0", "1", "10", *"23456789"]
    assert own(describe(repository))["Label"]["enum"] == list("abcdefghijk")


def test_letters_are_written_as_they_are(repository: Path) -> None:
    describe(repository)
    assert '"тревога"' in (repository / "openapi.json").read_text("utf-8")


def test_the_same_repository_is_described_in_the_same_bytes(repository: Path) -> None:
    def written() -> dict[str, bytes]:
        describe(repository)
        return {name: (repository / name).read_bytes() for name in WRITTEN}

    assert written() == written()


def test_every_path_has_the_statuses_that_can_occur_there(repository: Path) -> None:
    paths = describe(repository)["paths"]
    found = {
        path: set(operation["responses"])
        for path, operations in paths.items()
        for operation in operations.values()
    }
    assert found == STATUSES
    assert {path: list(operations) for path, operations in paths.items()} == {
        path: ["post"] if statuses is OF_INFERENCES else ["get"]
        for path, statuses in STATUSES.items()
    }


def test_every_refusal_is_an_error_in_json(repository: Path) -> None:
    document = describe(repository)
    for operations in document["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if status != "200":
                    name = response["$ref"].removeprefix("#/components/responses/")
                    content = document["components"]["responses"][name]["content"]
                    error = {"schema": {"$ref": "#/components/schemas/Error"}}
                    assert content == {"application/json": error}


def test_a_key_is_optional_and_not_asked_for_where_health_is_told(repository: Path) -> None:
    document = describe(repository)
    schemes = document["components"]["securitySchemes"]
    assert {item["type"] for item in schemes.values()} == {"http", "apiKey"}
    assert document["security"] == [{}, {"bearer": []}, {"key": []}]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation.get("security") == ([] if path in WITHOUT_KEY else None), path
            assert ("401" in operation["responses"]) == (path not in WITHOUT_KEY), path


def test_limits_are_told_with_the_values_that_the_front_has_unless_they_are_set(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = {}

    def number(environment: Mapping[str, str], name: str, default: int, most: int) -> int:
        assert environment == {}
        assert default <= most
        defaults[name] = default
        return default

    monkeypatch.setattr(supervise, "number", number)
    ports = supervise.Ports(1, 2)
    supervise.settings({}, {"model": "ratings"}, ports)
    supervise.configuration({}, repository, "ratings", ports, repository)
    told = re.findall(r"([A-Z]+(?:_[A-Z]+)+) \((\d+)\)", json.dumps(describe(repository)))
    assert {name for name, _ in told} == {
        *("MAX_TEXT_BYTES", "MAX_TEXTS", "MAX_BODY_BYTES", "MAX_IN_FLIGHT", "TIMEOUT_SECONDS")
    }
    for name, value in told:
        assert defaults[name] == int(value), name


def request(**changes: Any) -> dict[str, Any]:
    """A request of two texts; its input has the changes."""
    tensor = {"name": "text_input", "datatype": "BYTES", "shape": [2, 1], "data": ["a", "b"]}
    return {"inputs": [{**tensor, **changes}]}


BINARY = {"name": "text_input", "datatype": "BYTES", "shape": [1, 1]}


@pytest.mark.parametrize(
    ("schema", "instance"),
    [
        ("OneText", {"text": ""}),
        ("SeveralTexts", {"texts": ["a"]}),
        ("InferenceRequest", request()),
        ("InferenceRequest", request(data=[["a"], ["b"]])),
        ("InferenceRequest", request(shape=[4, 1])),
        ("InferenceRequest", {**request(), "id": "x" * 256, "outputs": []}),
        ("InferenceRequest", {**request(), "parameters": {"binary_data_output": True}}),
        (
            "InferenceRequest",
            {**request(), "outputs": [{"name": "scores", "parameters": {"binary_data": True}}]},
        ),
        ("InferenceRequest", {"inputs": [{**BINARY, "parameters": {"binary_data_size": 5}}]}),
        ("Result", [{"label": label, "score": 0.1} for label in LABELS]),
        (
            "InferenceResponse",
            {
                "model_name": "ratings",
                "model_version": "1",
                "outputs": [
                    {"name": "labels", "datatype": "BYTES", "shape": [1, 3], "data": LABELS},
                    {"name": "truncated", "datatype": "BOOL", "shape": [1, 1], "data": [False]},
                    {
                        "name": "scores",
                        "datatype": "FP32",
                        "shape": [1, 3],
                        "parameters": {"binary_data_size": 12},
                    },
                ],
            },
        ),
    ],
)
def test_what_the_front_takes_and_gives_fits_the_schemas(
    schema: str, instance: object, repository: Path
) -> None:
    assert refusals(describe(repository), schema, instance) == []


@pytest.mark.parametrize(
    ("schema", "instance"),
    [
        ("OneText", {}),
        ("OneText", {"text": 1}),
        ("OneText", {"text": "a", "text_pair": "b"}),
        ("OneText", {"text": "a", "other": "b"}),
        ("SeveralTexts", {"texts": []}),
        ("SeveralTexts", {"texts": "a"}),
        ("InferenceRequest", {}),
        ("InferenceRequest", {"inputs": []}),
        ("InferenceRequest", {"inputs": request()["inputs"] * 2}),
        ("InferenceRequest", {**request(), "other": 1}),
        ("InferenceRequest", {**request(), "id": "x" * 257}),
        ("InferenceRequest", {**request(), "id": "a\nb"}),
        ("InferenceRequest", {**request(), "parameters": {"priority": 1}}),
        ("InferenceRequest", {**request(), "outputs": [{"name": "other"}]}),
        ("InferenceRequest", {**request(), "outputs": [{"name": "scores"}] * 6}),
        (
            "InferenceRequest",
            {**request(), "outputs": [{"name": "scores", "parameters": {"a": 1}}]},
        ),
        ("InferenceRequest", request(name="other")),
        ("InferenceRequest", request(datatype="FP32")),
        ("InferenceRequest", request(shape=[5, 1])),
        ("InferenceRequest", request(shape=[0, 1])),
        ("InferenceRequest", request(shape=[2, 2])),
        ("InferenceRequest", request(shape=[2])),
        ("InferenceRequest", request(shape=[2, 1, 1])),
        ("InferenceRequest", request(data=[1, 2])),
        ("InferenceRequest", request(data=[["a", "b"]])),
        ("InferenceRequest", request(parameters={"binary_data_size": 5})),
        ("InferenceRequest", {"inputs": [BINARY]}),
        ("InferenceRequest", {"inputs": [{**BINARY, "parameters": {"shared_memory_region": "a"}}]}),
        ("Result", [{"label": label, "score": 0.1} for label in LABELS[:2]]),
        ("LabelScore", {"label": "other", "score": 0.1}),
        ("LabelScore", {"label": LABELS[0], "score": 1.1}),
    ],
)
def test_what_the_front_refuses_does_not_fit_the_schemas(
    schema: str, instance: object, repository: Path
) -> None:
    assert refusals(describe(repository), schema, instance)


def test_a_model_of_pairs_needs_both_texts_and_each_once(rendered: Render) -> None:
    document = describe(rendered("pairs"))
    first = request()["inputs"][0]
    second = first | {"name": "text_pair"}
    for inputs in ([first, second], [second, first]):
        assert refusals(document, "InferenceRequest", {"inputs": inputs}) == []
    for inputs in ([first], [first, first], [first, second, second]):
        assert refusals(document, "InferenceRequest", {"inputs": inputs})
    assert refusals(document, "OneText", {"text": "a", "text_pair": "b"}) == []
    assert refusals(document, "OneText", {"text": "a"})
    assert refusals(document, "SeveralTexts", {"texts": ["a"]})


def test_a_described_repository_passes_the_lint(repository: Path) -> None:
    for model in ("model_onnx", "text_preprocessing", "ratings"):
        (repository / model / "1").mkdir(exist_ok=True)
    for file in (
        *("model_onnx/1/model.onnx", "text_preprocessing/1/model.py"),
        "post_processing/1/model.py",
    ):
        (repository / file).touch()
    describe(repository)
    assert lint(repository) == ["model_onnx", "post_processing", "ratings", "text_preprocessing"]


def test_the_page_finds_in_the_document_what_it_looks_for(repository: Path) -> None:
    page = (ROOT / "server" / "front" / "page.html").read_text("utf-8")
    for found in ("api.info.title", "schemas.OneText.properties", "schemas.Score.maximum"):
        assert found in page
    document = describe(repository)
    assert document["info"]["title"] == "ratings"
    assert document["components"]["schemas"]["Score"]["maximum"] == 1
    assert "text_pair" not in document["components"]["schemas"]["OneText"]["properties"]


def test_the_page_is_small_and_asks_for_nothing_from_elsewhere() -> None:
    page = (ROOT / "server" / "front" / "page.html").read_bytes()
    assert len(page) < 8000
    assert not re.search(rb"https?:|//[a-z]|src=|<link|@import|url\(|\son[a-z]+=|style=", page)


def refused(repository: Path) -> str:
    """The error of a repository that cannot be described, which has neither file then."""
    line = error_line(run_utility("describe_api.py", repository))
    assert not [name for name in WRITTEN if (repository / name).exists()]
    return line


def test_an_ensemble_without_batches_is_refused(repository: Path) -> None:
    path = change(repository, "max_batch_size: 4", "max_batch_size: 0")
    assert refused(repository) == (
        f"error: {path}: max_batch_size is 0 (1 or more texts make a request)"
    )


def test_an_ensemble_of_one_text_at_a_time_is_described(repository: Path) -> None:
    change(repository, "max_batch_size: 4", "max_batch_size: 1")
    assert own(describe(repository))["Rows"] == {"maximum": 1}


@pytest.mark.parametrize("count", [0, 3])
def test_an_ensemble_of_other_inputs_than_a_text_or_two_is_refused(
    count: int, repository: Path
) -> None:
    text = '{ name: "text_input" data_type: TYPE_STRING dims: [ 1 ] }'
    path = change(repository, text, ",".join([text] * count))
    assert refused(repository) == f"error: {path}: has {count} inputs (a text or a pair of texts)"


@pytest.mark.parametrize("name", ["labels", "scores"])
def test_an_ensemble_without_an_output_that_answers_are_made_of_is_refused(
    name: str, repository: Path
) -> None:
    path = change(repository, f'{{ name: "{name}"', '{ name: "other"')
    assert refused(repository) == (
        f"error: {path}: has no output '{name}' (/classify answers with it)"
    )


def test_a_repository_without_labels_is_refused(repository: Path) -> None:
    path = repository / "post_processing" / "1" / "id2label.json"
    path.unlink()
    assert refused(repository) == f"error: {path}: no such file"


def test_labels_that_cannot_be_read_are_refused_with_their_place(repository: Path) -> None:
    path = repository / "post_processing" / "1" / "id2label.json"
    path.write_text('{"0": ')
    assert refused(repository).startswith(f"error: {path}: not JSON, line 1 column ")


def test_a_repository_without_an_ensemble_is_refused(repository: Path) -> None:
    (repository / "ratings" / "config.pbtxt").unlink()
    assert refused(repository) == (
        f"error: {repository}: has 0 ensembles (one is what can be joined)"
    )


def test_a_configuration_that_cannot_be_read_is_refused_with_its_place(repository: Path) -> None:
    path = change(repository, 'name: "ratings"', "nonsense: 1")
    assert refused(repository).startswith(f"error: {path}:")
