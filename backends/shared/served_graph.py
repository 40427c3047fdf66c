"""What every Python-based backend of ours does around its engine: requests in, responses out."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic_ns
from typing import Any, ClassVar, Protocol

import numpy as np
import triton_python_backend_utils as pb_utils


class GraphEngine(Protocol):
    """A graph, ready to run.

    Attributes:
        callers: how many threads may run it at once, with profit.
        inputs: names of its inputs.
        description: for the server's log.
    """

    callers: int
    inputs: list[str]
    description: str

    def __init__(self, path: Path, config: Mapping[str, Any], args: Mapping[str, str]) -> None:
        """Load a file as a Triton model configuration (as JSON) and instance arguments ask."""

    def run(
        self, outputs: Sequence[str] | None, feeds: Mapping[str, np.ndarray[Any, Any]]
    ) -> list[np.ndarray[Any, Any]]:
        """The wanted outputs, or all for None, of one batch."""


class ServedGraph:
    """A Triton model over one engine, which is run from several threads.

    Engines run without the GIL, so `execute` only hands requests to a pool and returns: weights and
    their prepacked copies are in memory once however many requests run at a time. Each request is
    run alone: on a CPU a batch of unequal texts only adds padding.
    """

    engine: ClassVar[type[GraphEngine]]

    # What the official backend of that name looks for in a version folder.
    default_filename: ClassVar[str]

    def initialize(self, args: dict[str, str]) -> None:
        """Load the file of the version folder and check it against the configuration.

        Raises:
            pb_utils.TritonModelException: the file cannot be loaded, or config and graph disagree.
        """
        config = json.loads(args["model_config"])
        filename = config.get("default_model_filename") or self.default_filename
        path = Path(args["model_repository"], args["model_version"], filename)
        try:
            self._engine = self.engine(path, config, args)
        except Exception as error:
            raise pb_utils.TritonModelException(f"{path.name}: {error}") from error
        self._pool = ThreadPoolExecutor(self._engine.callers, thread_name_prefix="engine")
        pb_utils.Logger.log_info(self._engine.description)

    def execute(self, requests: list[Any]) -> None:
        """Queue every request; each gets exactly one response through its own sender."""
        for request in requests:
            feeds = {
                name: pb_utils.get_input_tensor_by_name(request, name).as_numpy()
                for name in self._engine.inputs
            }
            outputs = list(request.requested_output_names())
            self._pool.submit(self._respond, request.get_response_sender(), feeds, outputs)

    def _respond(self, sender: Any, feeds: dict[str, Any], outputs: list[str]) -> None:
        begun = monotonic_ns()
        try:
            values = self._engine.run(outputs, feeds)
            response = pb_utils.InferenceResponse(
                [pb_utils.Tensor(name, value) for name, value in zip(outputs, values, strict=True)]
            )
        except Exception as error:
            response = pb_utils.InferenceResponse([], pb_utils.TritonError(str(error)))
        ended = monotonic_ns()
        # What was before is waiting for a thread.
        sender.set_times(begun, begun, ended)
        sender.count_run(len(next(iter(feeds.values()))), begun, ended)
        sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def finalize(self) -> None:
        """Wait for the requests in flight."""
        self._pool.shutdown(wait=True)
