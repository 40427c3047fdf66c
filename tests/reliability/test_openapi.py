"""Requests made out of what /openapi.json says: the server keeps to it."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from hypothesis import given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from schemathesis.specs.openapi.schemas import OpenApiSchema

from tests.reliability.figures import LONG, record
from tests.reliability.service import Model, Service, steady
from tests.reliability.wire import INSIDES
from tests.serving import ROOT

pytestmark = pytest.mark.reliability

# Of each kind.
REQUESTS = 2000 if LONG else 100
SECONDS = 2.0
KEY = "kEy-1+/="

# Tests are named before there is a server to ask. MODEL stands for the model's name.
TEMPLATE = json.loads((ROOT / "server" / "front" / "openapi.json").read_text("utf-8"))
OPERATIONS = [
    f"{method.upper()} {path}"
    for path, operations in TEMPLATE["paths"].items()
    for method in operations
]
# All others have nothing that could be chosen.
WITH_BODY = [operation for operation in OPERATIONS if operation.startswith("POST")]
SCHEMES: dict[str, dict[str, str]] = TEMPLATE["components"]["securitySchemes"]

# What such a body is, the document tells in words.
BINARY = "application/octet-stream"


@dataclass
class Figures:
    """Of all requests here: how many, and seconds until the slowest answer."""

    requests: int = 0
    slowest: float = 0.0


@dataclass(frozen=True)
class Client:
    """Asks a server what its own document implies."""

    server: Service
    api: OpenApiSchema
    figures: Figures

    def operation(self, name: str) -> Any:
        """One of OPERATIONS."""
        method, path = name.replace("MODEL", self.server.model.built.model_name).split()
        return self.api[path][method]

    def borders(self, name: str) -> list[Any]:
        """Requests to an operation: the least, the most, a part missing or wrong, other methods."""
        cases = self.api.iter_coverage_cases(
            self.operation(name),
            generation_modes=list(GenerationMode),
            generation_config=self.api.config.generation,
        )
        return list(cases)

    def ask(self, case: Any, headers: Mapping[str, str] | None = None) -> int:
        """The status of an answer that is as the document says, in headers and body, too.

        What fits the document has to be taken, what does not has to be refused.
        """
        right, excluded = is_right(case), []
        if right and case.media_type == BINARY:
            excluded.append(positive_data_acceptance)
        elif right:
            complete(case)
        elif has_wrong_empty(case.body):
            excluded.append(negative_data_rejection)
        response = case.call_and_validate(
            base_url=root(self.server),
            headers=dict(headers or {}),
            excluded_checks=excluded,
            timeout=SECONDS,
        )
        if response.status_code != 200:
            assert not INSIDES.search(response.text), response.text
        if response.status_code == 405:
            method = case.operation.method.upper()
            assert response.headers["allow"] == [{"GET": "GET, HEAD"}.get(method, method)]
        self.figures.requests += 1
        self.figures.slowest = max(self.figures.slowest, response.elapsed)
        status: int = response.status_code
        return status

    def assert_kept(self, case: Any) -> None:
        """The same; what fits the document and its words is answered."""
        status = self.ask(case)
        assert status == 200 or not is_right(case) or case.media_type == BINARY


def root(server: Service) -> str:
    """The address that all paths come behind."""
    return "http://{}:{}".format(*server.address)


def is_right(case: Any) -> bool:
    """Whether a request fits the document's schemas."""
    return bool(case.meta.generation.mode.is_positive)


def complete(case: Any) -> None:
    """Make a request fit what the document says in words, because no schema can."""
    case.headers.pop("Inference-Header-Content-Length", None)
    if isinstance(case.body, dict) and "texts" in case.body:
        count = min(map(len, case.body.values()))
        case.body = {name: texts[:count] for name, texts in case.body.items()}
    elif isinstance(case.body, dict) and "inputs" in case.body:
        case.body = complete_inference(case.body)


def complete_inference(request: Mapping[str, Any]) -> dict[str, Any]:
    """Texts and no binary data, as many as shape says; each output once; an id of few bytes."""
    columns = {tensor["name"]: tensor.get("data", ["a"]) for tensor in request["inputs"]}
    # 4 are a batch.
    count = min(4, *map(len, columns.values()))
    changed = dict(request)
    changed["inputs"] = [
        {"name": name, "datatype": "BYTES", "shape": [count, 1], "data": texts[:count]}
        for name, texts in columns.items()
    ]
    if "outputs" in request:
        changed["outputs"] = list({item["name"]: item for item in request["outputs"]}.values())
    if "id" in request:
        changed["id"] = request["id"][:64]
    return changed


def has_wrong_empty(request: Any) -> bool:
    """Whether {} stands for a list or [] for an object: the server has one empty table for both."""
    if not isinstance(request, dict):
        return False
    outputs = request.get("outputs")
    objects = [request, *(outputs if isinstance(outputs, list) else [])]
    return outputs == {} or any(
        isinstance(item, dict) and item.get("parameters") == [] for item in objects
    )


@pytest.fixture(scope="module")
def figures() -> Iterator[Figures]:
    """Recorded when all is done."""
    figures = Figures()
    yield figures
    record("B14: requests out of openapi.json", figures.requests, "")
    record("B14: requests out of openapi.json: slowest answer", figures.slowest, "s", SECONDS)


@pytest.fixture(scope="module")
def pair_server(pair_model: Model) -> Iterator[Service]:
    """A container of the model of pairs, for all tests here."""
    with steady(pair_model) as server:
        yield server


def client_of(server: Service, figures: Figures) -> Client:
    """Knows the document that the server gives."""
    return Client(server, schemathesis.openapi.from_url(f"{root(server)}/openapi.json"), figures)


@pytest.fixture(params=["server", "pair_server"], ids=["texts", "pairs"])
def client(request: pytest.FixtureRequest, figures: Figures) -> Client:
    """Of either model's server."""
    return client_of(request.getfixturevalue(request.param), figures)


@pytest.fixture(scope="module")
def locked(model: Model, figures: Figures) -> Iterator[Client]:
    """Of a server that asks for a key."""
    with steady(model, f"--env=API_KEY={KEY}", headers={"X-API-Key": KEY}) as server:
        yield client_of(server, figures)


def header(scheme: Mapping[str, str], key: str) -> dict[str, str]:
    """What brings a key in this way."""
    if scheme["type"] == "apiKey":
        return {scheme["name"]: key}
    return {"Authorization": f"{scheme['scheme']} {key}"}


def test_the_document_is_one_of_openapi_3_1(client: Client) -> None:
    document = client.server.get("/openapi.json").json
    assert document["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_the_document_has_the_operations_that_are_asked_here(client: Client) -> None:
    found = [f"{method.upper()} {path}" for path in client.api for method in client.api[path]]
    name = client.server.model.built.model_name
    assert found == [operation.replace("MODEL", name) for operation in OPERATIONS]


@pytest.mark.row("P1", "P4")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_requests_at_the_borders_are_answered_as_the_document_says(
    client: Client, operation: str
) -> None:
    cases = client.borders(operation)
    assert {is_right(case) for case in cases} == {True, False}
    for case in cases:
        client.assert_kept(case)


@pytest.mark.row("B14")
@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("operation", WITH_BODY)
def test_random_requests_are_answered_as_the_document_says(
    client: Client, operation: str, mode: GenerationMode
) -> None:
    @settings(max_examples=REQUESTS, deadline=None)
    @given(client.operation(operation).as_strategy(generation_mode=mode))
    def answered(case: Any) -> None:
        client.assert_kept(case)

    run: Callable[[], None] = answered
    run()


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_key_is_needed_where_the_document_says_so(
    locked: Client, operation: str, scheme: dict[str, str]
) -> None:
    case = next(
        case for case in locked.borders(operation) if is_right(case) and case.media_type != BINARY
    )
    # Keys that were made up are among them.
    case.headers.clear()
    open_to_all = locked.operation(operation).definition.raw.get("security") == []
    for headers in ({}, header(scheme, "another"), header(scheme, "")):
        assert locked.ask(case, headers) == (200 if open_to_all else 401)
    assert locked.ask(case, header(scheme, KEY)) == 200
