"""Parameters of a Triton model configuration, as JSON."""

from collections.abc import Mapping
from typing import Any


def with_parameters(config: Mapping[str, Any], **values: str) -> dict[str, Any]:
    """The same configuration with these parameters, whatever they were before."""
    given = {name: {"string_value": value} for name, value in values.items()}
    return {**config, "parameters": {**config.get("parameters", {}), **given}}
