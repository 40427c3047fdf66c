"""The limit: texts tokenised and run by ONNX Runtime in-process, one process a core, no server.

It reads the very files that are served. Nothing that answers over a network can be faster on the
same cores, unless it computes something else.
"""

import os
import signal
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter, process_time, sleep
from typing import Any

from utils.load.connections import Log

DATA_TYPES = {"tensor(int64)": "int64", "tensor(int32)": "int32"}

OK = 200


@dataclass(frozen=True)
class Share:
    """What one process did.

    Attributes:
        log: as of a server; a body is the number of the label.
        cpu_seconds: of the process, user and system.
    """

    log: Log
    cpu_seconds: float


@dataclass(frozen=True)
class Files:
    """Of a rendered repository."""

    graph: Path
    tokenizer: Path


def served_files(repository: Path) -> Files:
    """The graph and the tokenizer that a rendered repository serves."""
    (graph,) = repository.glob("*/1/model.onnx")
    (tokenizer,) = repository.glob("*/1/tokenizer.json")
    return Files(graph, tokenizer)


class Classifier:
    """Texts to labels, one at a time on one thread."""

    def __init__(self, files: Files) -> None:
        import onnxruntime as ort
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(files.tokenizer))
        self._tokenizer.no_padding()
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = ort.InferenceSession(
            str(files.graph), options, providers=["CPUExecutionProvider"]
        )
        self._inputs = {item.name: DATA_TYPES[item.type] for item in self._session.get_inputs()}

    def label(self, text: str) -> int:
        """The number of the top label."""
        import numpy as np

        (encoding,) = self._tokenizer.encode_batch_fast([text])
        rows = {
            "input_ids": encoding.ids,
            "attention_mask": encoding.attention_mask,
            "token_type_ids": encoding.type_ids,
        }
        feeds = {name: np.array([rows[name]], dtype) for name, dtype in self._inputs.items()}
        return int(self._session.run(["logits"], feeds)[0][0].argmax())


class Limit:
    """The processes; they wait between runs."""

    def __init__(self, workers: Sequence[ProcessPoolExecutor]) -> None:
        self._workers = workers

    @property
    def processes(self) -> int:
        """How many there are."""
        return len(self._workers)

    def begin(
        self, texts: Sequence[str], processes: int, start: float, seconds: float
    ) -> "list[Future[Share]]":
        """Let so many processes share texts, from `start` on the clock of time.perf_counter."""
        return [
            worker.submit(_run, texts, number, processes, start, seconds)
            for number, worker in enumerate(self._workers[:processes])
        ]


@contextmanager
def open_limit(files: Files, cpus: Collection[int]) -> Iterator[Limit]:
    """One process for each of the processors, ended at the end."""
    with ExitStack() as stack:
        context = get_context("spawn")
        workers = [
            stack.enter_context(ProcessPoolExecutor(1, context, _load, (files, cpus))) for _ in cpus
        ]
        for worker in workers:
            worker.submit(_run, ["a"], 0, 1, 0.0, 0.0).result()
        yield Limit(workers)


_loaded: dict[str, Any] = {}


def _load(files: Files, cpus: Collection[int]) -> None:
    # Ctrl-C is for the process that started this one, which then ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.sched_setaffinity(0, cpus)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    _loaded["classifier"] = Classifier(files)


def _run(texts: Sequence[str], first: int, step: int, start: float, seconds: float) -> Share:
    classifier, log, request = _loaded["classifier"], Log(), first
    sleep(max(0.0, start - perf_counter()))
    cpu = process_time()
    while (now := perf_counter()) < start + seconds:
        label = classifier.label(texts[request % len(texts)])
        log.add(request, now, OK, b"%d" % label)
        request += step
    return Share(log, process_time() - cpu)
