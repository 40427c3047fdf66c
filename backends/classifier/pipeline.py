"""Texts on their way through the steps, those that fit together in one run of the graph.

There are no threads here: whoever brings a request stays and works, as long as there is something
to do and fewer are at it than the engine takes.
"""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from time import monotonic_ns
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from grouping import group, measured_run_cost, shortest_seconds
from memory import Memory
from steps import Steps

Array = npt.NDArray[Any]

# Texts in a run: beyond, no engine gains anything that a text would not wait for.
MOST_IN_A_RUN = 64

# Of texts to measure with.
WORDS = 24
LONG_WORDS = 96

# Of the time of a long text on one CPU: what several have to save if they are to be taken.
GAIN = 0.1

# So long after runs at once none counts on being alone: where there are two clients, the first text
# would have all CPUs each time, and the second one wait for them.
QUIET_NS = 50_000_000

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
        steps: as above, without an engine for lone texts that gains nothing.
        run_cost: what a run costs beside its tokens, in tokens.
    """

    def __init__(self, steps: Steps, remembered: int = 0) -> None:
        self.steps = steps
        self._memory: Memory[tuple[Array, bool]] = Memory(remembered)
        self._most = MOST_IN_A_RUN if steps.shared_runs else 1
        self._lock = threading.Lock()
        self._waiting: list[Text] = []
        self._running = 0
        self._crowded_ns = 0
        if not self._gains_alone():
            self.steps = replace(steps, lone_engine=None)
        self.run_cost = self._measured_run_cost()

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
        while taken := self._next():
            texts, engine = taken
            try:
                self._run(texts, engine)
            except Exception as error:
                for text in texts:
                    self._fail(text.request, str(error))

    def _next(self) -> tuple[list[Text], Any] | None:
        """What to run now, by which engine; nothing ends the work of whoever asked."""
        with self._lock:
            while (early_ns := self._early_ns()) > 0:
                self._lock.release()
                time.sleep(early_ns / 1e9)
                self._lock.acquire()
            alone = self._is_alone()
            if not self._waiting:
                self._running -= 1
                return None
            # Enough for the others who are or may be at it.
            share = -(-len(self._waiting) // self.steps.engine.callers)
            chosen = group(self._waiting, min(self._most, share), self.run_cost)
            for text in chosen:
                self._waiting.remove(text)
            return chosen, self.steps.lone_engine if alone else self.steps.engine

    def _is_alone(self) -> bool:
        """Whether a run has CPUs to spare, now and by what was just before."""
        now = monotonic_ns()
        if self._running > 1:
            self._crowded_ns = now
        quiet = now - self._crowded_ns > QUIET_NS
        return quiet and self.steps.lone_engine is not None

    def _early_ns(self) -> int:
        """How much longer the first text is to wait for company."""
        if not self._waiting or len(self._waiting) >= self._most:
            return 0
        return self._waiting[0].added_ns + self.steps.delay_ns - monotonic_ns()

    def _run(self, texts: list[Text], engine: Any) -> None:
        texts = [text for text in texts if not self._dropped(text)]
        if not texts:
            return
        begun = monotonic_ns()
        logits = self._logits([text.rows for text in texts], engine)
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

    def _logits(self, rows: Sequence[Sequence[Any]], engine: Any) -> Array:
        feeds = self.steps.tokenization.tensors(rows)
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

    def _example(self, words: int) -> list[Any]:
        """Rows of one text."""
        tokenization = self.steps.tokenization
        texts = [["a " * words]] * (2 if tokenization.pairs else 1)
        return list(tokenization.encode(*texts).rows)

    def _gains_alone(self) -> bool:
        """Whether the engine for lone texts, if there is one, is worth having."""
        if self.steps.lone_engine is None:
            return False
        rows = self._example(LONG_WORDS)
        seconds, alone_seconds = (
            shortest_seconds(partial(self._logits, rows, engine), time.perf_counter)
            for engine in (self.steps.engine, self.steps.lone_engine)
        )
        return alone_seconds <= (1 - GAIN) * seconds

    def _measured_run_cost(self) -> float:
        """What a run costs beside its tokens; also the first runs, which are slow."""
        engine, rows = self.steps.engine, self._example(WORDS)
        if self._most == 1:
            self._logits(rows, engine)
            return 0.0
        # A CPU's own time is the same on a busy machine; a GPU's is not the process's.
        clock = time.perf_counter if self.steps.on_gpu else time.process_time
        return measured_run_cost(
            lambda count: self._logits(rows * count, engine), len(rows[0][0].ids), clock
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
