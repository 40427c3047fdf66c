"""Triton Python-based backend `classifier`: the steps of a text classifier's ensemble as one model.

What the ensemble does with three models and two tensors' way between each, this does in one go, by
the same code, files and configurations (`steps.py`), and puts texts together that gain from it
(`grouping.py`). For the embedded server, where models run inside the server.
"""

import json
import os
import threading
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils
from cpu_budget import cpu_budget
from pipeline import Pipeline, Times
from steps import Steps, open_steps

# Texts whose logits are kept; server/bin/serve sets it.
REMEMBERED = "CACHE_TEXTS"

_lock = threading.Lock()
_pipelines: dict[str, Pipeline] = {}


def preferred_instances() -> int:
    """Threads that Triton calls this from: one takes requests while the others work."""
    return cpu_budget() + 1


def _description(pipeline: Pipeline) -> str:
    steps = pipeline.steps
    parts = [steps.engine.description, f"a run costs as much as {pipeline.run_cost:.1f} tokens"]
    if steps.lone_engine is not None:
        parts.append(f"for a lone text {steps.lone_engine.description}")
    return "; ".join(parts)


class Answer:
    """Makes a response of logits."""

    __slots__ = ("_request", "_steps")

    def __init__(self, request: Any, steps: Steps) -> None:
        self._request = request
        self._steps = steps

    def give(self, logits: Any, truncated: Any, times: Times) -> None:
        """Score and send."""
        request = self._request
        wanted = request.requested_output_names()
        values = self._steps.scoring.outputs(logits, wanted)
        if "truncated" in wanted:
            values["truncated"] = truncated
        # Triton's statistics know of waiting, input, inference and output.
        request.set_times(times.begun - times.tokenised, times.begun, times.ended)
        request.send(
            pb_utils.InferenceResponse([pb_utils.Tensor(*item) for item in values.items()])
        )

    def fail(self, message: str) -> None:
        """Send an error."""
        self._request.fail(message)

    def count_run(self, texts: int, begun: int, ended: int) -> None:
        """Tell the statistics."""
        self._request.count_run(texts, begun, ended)

    def is_cancelled(self) -> bool:
        """Whether the client has gone."""
        cancelled: bool = self._request.is_cancelled()
        return cancelled


class TritonPythonModel:
    """What the ensemble takes and gives; one of several instances over one pipeline."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the steps, or find them loaded by another instance.

        Raises:
            pb_utils.TritonModelException: a step cannot be loaded.
        """
        config = json.loads(args["model_config"])
        self._inputs = [entry["name"] for entry in config["input"]]
        folder = Path(args["model_repository"])
        file = folder / args["model_version"] / config["parameters"]["steps"]["string_value"]
        # By utils/join_steps.py: <repository>/<name>/joined/<name>
        repository = folder.parents[2]
        with _lock:
            if args["model_name"] not in _pipelines:
                try:
                    remembered = int(os.environ.get(REMEMBERED, "0"))
                    pipeline = Pipeline(open_steps(repository, file), remembered)
                except Exception as error:
                    raise pb_utils.TritonModelException(str(error)) from error
                _pipelines[args["model_name"]] = pipeline
                pb_utils.Logger.log_info(_description(pipeline))
            self._pipeline = _pipelines[args["model_name"]]

    def execute(self, requests: list[Any]) -> None:
        """Take requests and, unless others do it, work on whatever waits."""
        steps = self._pipeline.steps
        for request in requests:
            try:
                texts = [
                    steps.decoded(name, pb_utils.get_input_tensor_by_name(request, name).as_numpy())
                    for name in self._inputs
                ]
                self._pipeline.add(Answer(request, steps), *texts)
            except Exception as error:
                request.fail(str(error))
        self._pipeline.work()
