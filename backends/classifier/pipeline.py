"""Texts on their way through the steps, those that fit together in one run of the graph.

There are no threads here: whoever brings a request stays and works, as long as there is something
to do and fewer are at it than the engine takes.
"""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from grouping import group, measured_run_cost
from memory import Memory
from steps import Steps

Array = npt.NDArray[Any]

# Texts in a run: beyond, no engine gains anything that a text would not wait for.
MOST_IN_A_RUN = 64

# Of a text to measure with.
WORDS = "a " * 24

NO_LOGITS = np.empty((0, 0), np.float32)


class Answer(Protocol):
    """Who is told how a request went."""

    def give(self, logits: Array, truncated: Array, times: "Times") -> None:
        """All texts have their logits, FP32 [texts, classes]."""

    def fail(self, message: str) -> None:
        """One of them cannot have any."""

    def count_run(self, texts: int, begun: int, ended: int) -> None:
        """The graph has run, for these and maybe others."""

    def is_cancelled(self) -> bool:
        """Whether nobody waits any more."""


@dataclass
class Times:
    """By the monotonic clock, in ns: tokenised during, first run begun, last run ended."""

    tokenised: int
    begun: int = 0
    ended: int = 0


@dataclass(eq=False)
class Request:
    """Texts that are answered together; `missing` of them have no logits yet."""

    answer: Answer
    truncated: Array
    times: Times
    missing: int
    logits: list[Array]


@dataclass(eq=False)
class Text:
    """One text, or pair, of a request and its rows of tokens, one for each window."""

    request: Request
    place: int
    words: tuple[str, ...]
    rows: Sequence[Any]
    length: int = field(init=False)
    alone: bool = field(init=False)
    added_ns: int = field(default_factory=monotonic_ns)

    def __post_init__(self) -> None:
        self.length = len(self.rows[0].ids)
        # Windows are rows of their own inside the graph.
        self.alone = len(self.rows) > 1


class Pipeline:
    """Takes requests, answers them.

    Args:
        steps: what to do with a text.
        remembered: texts whose logits are kept, should they come again.

    Attributes:
        steps: as above.
        run_cost: what a run costs beside its tokens, in tokens.
    """

    def __init__(self, steps: Steps, remembered: int = 0) -> None:
        self.steps = steps
        self._memory: Memory[tuple[Array, bool]] = Memory(remembered)
        self._most = MOST_IN_A_RUN if steps.shared_runs else 1
        self._lock = threading.Lock()
        self._waiting: list[Text] = []
        self._running = 0
        self.run_cost = self._measure()

    def add(self, answer: Answer, *texts: Sequence[str]) -> None:
        """Tokenise a request and let it wait.

        Args:
            answer: is told of the result.
            texts: and the second texts of pairs.

        Raises:
            ValueError: a text that cannot be tokenised, or none.
        """
        begun = monotonic_ns()
        asked = list(zip(*texts, strict=True))
        if not asked:
            raise ValueError("there are no texts")
        known = [self._memory.recall(words) for words in asked]
        fresh = [place for place, value in enumerate(known) if value is None]
        logits = [value[0] if value else NO_LOGITS for value in known]
        truncated = np.array([[value[1] if value else False] for value in known])
        rows = []
        if fresh:
            encoded = self.steps.tokenization.encode(
                *([column[place] for place in fresh] for column in texts)
            )
            rows = encoded.rows
            truncated[fresh, 0] = encoded.truncated
        request = Request(answer, truncated, Times(monotonic_ns() - begun), len(fresh), logits)
        if not fresh:
            request.times.begun = request.times.ended = monotonic_ns()
            _give(request)
        items = [
            Text(request, place, asked[place], row) for place, row in zip(fresh, rows, strict=True)
        ]
        with self._lock:
            self._waiting += items

    def work(self) -> None:
        """Run what waits, until nothing does or enough others are at it."""
        with self._lock:
            if self._running >= self.steps.engine.callers:
                return
            self._running += 1
        while texts := self._next():
            try:
                self._run(texts)
            except Exception as error:
                for text in texts:
                    self._fail(text.request, str(error))

    def _next(self) -> list[Text]:
        """What to run now; nothing ends the work of whoever asked."""
        with self._lock:
            while (early_ns := self._early_ns()) > 0:
                self._lock.release()
                time.sleep(early_ns / 1e9)
                self._lock.acquire()
            if not self._waiting:
                self._running -= 1
                return []
            # Enough for the others who are or may be at it.
            share = -(-len(self._waiting) // self.steps.engine.callers)
            chosen = group(self._waiting, min(self._most, share), self.run_cost)
            for text in chosen:
                self._waiting.remove(text)
            return chosen

    def _early_ns(self) -> int:
        """How much longer the first text is to wait for company."""
        if not self._waiting or len(self._waiting) >= self._most:
            return 0
        return self._waiting[0].added_ns + self.steps.delay_ns - monotonic_ns()

    def _run(self, texts: list[Text]) -> None:
        texts = [text for text in texts if not self._dropped(text)]
        if not texts:
            return
        begun = monotonic_ns()
        logits = self._logits([text.rows for text in texts])
        ended = monotonic_ns()
        texts[0].request.answer.count_run(len(texts), begun, ended)
        for number, text in enumerate(texts):
            self._finish(text, logits[number : number + 1], begun, ended)

    def _finish(self, text: Text, logits: Array, begun: int, ended: int) -> None:
        request = text.request
        request.logits[text.place] = logits
        self._memory.note(text.words, (logits, bool(request.truncated[text.place, 0])))
        times = request.times
        with self._lock:
            times.begun = min(begun, times.begun or begun)
            times.ended = ended
            request.missing -= 1
            if request.missing:
                return
        _give(request)

    def _logits(self, rows: Sequence[Sequence[Any]]) -> Array:
        feeds = self.steps.tokenization.tensors(rows)
        engine = self.steps.engine
        logits: Array = engine.run(None, {name: feeds[name] for name in engine.inputs})[0]
        return logits

    def _dropped(self, text: Text) -> bool:
        """Whether a text need not be run: its request failed, or nobody waits for it."""
        request = text.request
        # One that another thread is answering may be the server's again: nobody asks of it.
        with self._lock:
            gone = request.missing > 0 and request.answer.is_cancelled()
        if gone:
            self._fail(request, "cancelled")
        return request.missing <= 0

    def _fail(self, request: Request, message: str) -> None:
        with self._lock:
            failed_before = request.missing <= 0
            request.missing = 0
        if not failed_before:
            _tell(request.answer, message)

    def _measure(self) -> float:
        """What a run costs beside its tokens; also the first runs, which are slow."""
        tokenization = self.steps.tokenization
        texts = [[WORDS]] * (2 if tokenization.pairs else 1)
        rows = tokenization.encode(*texts).rows
        if self._most == 1:
            self._logits(rows)
            return 0.0
        # A CPU's own time is the same on a busy machine; a GPU's is not the process's.
        clock = time.perf_counter if self.steps.on_gpu else time.process_time
        return measured_run_cost(
            lambda count: self._logits(rows * count), len(rows[0][0].ids), clock
        )


def _give(request: Request) -> None:
    logits = request.logits[0] if len(request.logits) == 1 else np.concatenate(request.logits)
    try:
        request.answer.give(logits, request.truncated, request.times)
    except Exception as error:
        _tell(request.answer, str(error))


def _tell(answer: Answer, message: str) -> None:
    # Who cannot be told must not stop the others.
    with suppress(Exception):
        answer.fail(message)
