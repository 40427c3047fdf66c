#!/usr/bin/env python3
"""Tell the front, and whoever asks it, what a rendered repository's model takes and gives.

Writes two files beside the models: front.json, which server/front/lua/contract.lua reads, and
openapi.json, which is server/front/openapi.json with what only this model has.
"""

import argparse
import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from tritonclient.grpc.model_config_pb2 import DataType, ModelConfig

from utils.artifacts import LABELS_FILE
from utils.errors import UserError, run_command
from utils.join_steps import PARTS, ensemble_folder, write
from utils.labels import read_label_file
from utils.lint_repository import parse_config

TEMPLATE = Path(__file__).resolve().parents[1] / "server" / "front" / "openapi.json"

# Of the model's name; no name has capitals.
PLACEHOLDER = "MODEL"

# What /classify calls the ensemble's inputs: of one text, of several.
FIELDS = (("text", "texts"), ("text_pair", "text_pairs"))

# What it takes its answers from.
NEEDED_OUTPUTS = ("labels", "scores")

# More would be most of the document, and nobody reads them there.
MOST_LABELS = 1000

# Of Triton's types, as JSON has them; all others are numbers.
JSON_TYPES = {"BYTES": "string", "BOOL": "boolean"}

Schema = dict[str, Any]


def checked_ensemble(path: Path) -> ModelConfig:
    """An ensemble that the front can ask.

    Raises:
        UserError: it takes or gives something else than a classifier, or no batches.
    """
    config = parse_config(path)
    if config.max_batch_size < 1:
        raise UserError(
            path, f"max_batch_size is {config.max_batch_size}", "1 or more texts make a request"
        )
    if not 1 <= len(config.input) <= len(FIELDS):
        raise UserError(path, f"has {len(config.input)} inputs", "a text or a pair of texts")
    outputs = {output.name for output in config.output}
    for name in NEEDED_OUTPUTS:
        if name not in outputs:
            raise UserError(path, f"has no output '{name}'", "/classify answers with it")
    return config


def front_contract(name: str, config: ModelConfig) -> dict[str, Any]:
    """What front.json says."""
    return {
        "model": name,
        "inputs": [item.name for item in config.input],
        "outputs": {item.name: True for item in config.output},
        "max_batch_size": config.max_batch_size,
    }


def reference(name: str) -> Schema:
    """To another schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def has_all(names: Iterable[str], schema: Schema) -> Schema:
    """What an object says that needs every one of the names."""
    properties = dict.fromkeys(names, schema)
    return {"properties": properties, "required": list(properties)}


def output_schema(name: str, data_type: str, dims: Sequence[int]) -> Schema:
    """An output of a response; data_type as the V2 protocol has it, dims of a row."""
    return {
        "type": "object",
        "properties": {
            "name": {"const": name},
            "datatype": {"const": data_type},
            "shape": {
                "type": "array",
                "prefixItems": [reference("Rows"), *({"const": size} for size in dims)],
                "minItems": 1 + len(dims),
                "maxItems": 1 + len(dims),
            },
            "data": {"type": "array", "items": {"type": JSON_TYPES.get(data_type, "number")}},
        },
        "required": ["name", "datatype", "shape"],
    }


def v2_type(number: int) -> str:
    """A type of config.pbtxt as the V2 protocol calls it."""
    name = str(DataType.Name(number)).removeprefix("TYPE_")
    return "BYTES" if name == "STRING" else name


def model_schemas(
    config: ModelConfig, labels: Collection[str], function: str
) -> Mapping[str, Schema]:
    """What only this model's schemas say, by their names in the template.

    Args:
        config: the ensemble's.
        labels: of each class.
        function: from logits to scores.
    """
    inputs = [item.name for item in config.input]
    outputs = {item.name: item for item in config.output}
    one, several = zip(*FIELDS[: len(inputs)], strict=True)
    top_k = outputs["labels"].dims[0]
    return {
        "OneText": has_all(one, reference("Text")),
        "SeveralTexts": has_all(several, reference("Texts")),
        "Label": {"enum": list(labels)} if len(labels) <= MOST_LABELS else {},
        "Score": {} if function == "none" else {"minimum": 0, "maximum": 1},
        "Result": {"minItems": top_k, "maxItems": top_k},
        "Rows": {"maximum": config.max_batch_size},
        "Inputs": {
            "minItems": len(inputs),
            "maxItems": len(inputs),
            "allOf": [{"contains": {"properties": {"name": {"const": name}}}} for name in inputs],
        },
        "InputName": {"enum": inputs},
        "Outputs": {"maxItems": len(outputs)},
        "OutputName": {"enum": list(outputs)},
        "Output": {
            "oneOf": [
                output_schema(name, v2_type(item.data_type), item.dims)
                for name, item in outputs.items()
            ]
        },
    }


def document(name: str, schemas: Mapping[str, Schema]) -> dict[str, Any]:
    """The template with a model's name and what its schemas say."""
    content: dict[str, Any] = json.loads(TEMPLATE.read_text(encoding="utf-8"))
    content["info"]["title"] = name
    content["paths"] = {
        path.replace(PLACEHOLDER, name): item for path, item in content["paths"].items()
    }
    for schema, own in schemas.items():
        content["components"]["schemas"][schema] |= own
    return content


def describe(repository: Path) -> None:
    """Write both files."""
    folder = ensemble_folder(repository)
    config = checked_ensemble(folder / "config.pbtxt")
    scorer = repository / PARTS["scorer"]
    function = parse_config(scorer / "config.pbtxt").parameters["function"].string_value
    labels = read_label_file(scorer / "1" / LABELS_FILE)
    schemas = model_schemas(config, labels.values(), function)
    for file, content in (
        ("front.json", front_contract(folder.name, config)),
        ("openapi.json", document(folder.name, schemas)),
    ):
        write(repository / file, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def main() -> None:
    """Describe a repository's interface."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("repository", type=Path)
    describe(parser.parse_args().repository)


if __name__ == "__main__":
    run_command(main)
