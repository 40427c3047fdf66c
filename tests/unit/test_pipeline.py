"""backends/classifier/pipeline.py, with steps that tell texts by their bytes."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pipeline as module
import pytest
from pipeline import Array, Pipeline, Times
from steps import Steps

INFINITE = float("inf")
SECONDS = 30

# A text that has two windows, one that the tokenizer refuses, and one that the engine fails on.
WINDOWS, BAD, POISON = "two|windows", "bad", "poison"


class Tokenization:
    """A token for each byte of a text, a window for each part between bars."""

    pairs = False

    def encode(self, *texts: Sequence[str]) -> Any:
        """Rows, and whether a text was cut: those in capitals."""
        joined = ["+".join(parts) for parts in zip(*texts, strict=True)]
        if BAD in joined:
            raise ValueError(f"row {joined.index(BAD)} has no tokens")
        rows = [
            [SimpleNamespace(ids=list(part.encode())) for part in text.split("|")]
            for text in joined
        ]
        return SimpleNamespace(rows=rows, truncated=[text.isupper() for text in joined])

    def tensors(self, rows: Sequence[Sequence[Any]]) -> dict[str, Array]:
        """[texts, tokens], windows one behind the other, and one that no engine takes."""
        tokens = [[number for row in windows for number in row.ids] for windows in rows]
        longest = max(map(len, tokens))
        filled = [row + [0] * (longest - len(row)) for row in tokens]
        return {"input_ids": np.array(filled), "position_ids": np.zeros(1)}


def logits_of(text: str) -> list[float]:
    """What the engine gives for a text."""
    tokens = text.replace("|", "").encode()
    return [float(sum(tokens)), float(len(tokens))]


class Engine:
    """Counts, and does what a test wants with the texts of a run before it answers."""

    inputs = ("input_ids",)

    def __init__(self, callers: int = 2) -> None:
        self.callers = callers
        self.runs: list[list[str]] = []
        self.most_at_once = 0
        self.before: Callable[[list[str]], object] = lambda _: None
        self._at_once = 0
        self._lock = threading.Lock()

    def run(self, wanted: object, feeds: dict[str, Array]) -> list[Array]:
        """FP32 [texts, 2]."""
        assert wanted is None
        assert set(feeds) == set(self.inputs)
        texts = [bytes(int(token) for token in row if token).decode() for row in feeds["input_ids"]]
        with self._lock:
            self.runs.append(texts)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            self.before(texts)
            if POISON in texts:
                raise RuntimeError("poisoned")
            return [np.array([logits_of(text) for text in texts], np.float32)]
        finally:
            with self._lock:
                self._at_once -= 1


@dataclass(eq=False)
class Answer:
    """Keeps what it is told."""

    given: list[list[list[float]]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    truncated: list[list[bool]] = field(default_factory=list)
    times: list[Times] = field(default_factory=list)
    counted: list[tuple[int, int, int]] = field(default_factory=list)
    cancelled: bool = False

    def give(self, logits: Array, truncated: Array, times: Times) -> None:
        """An answer."""
        assert logits.dtype == np.float32
        self.given.append(logits.tolist())
        self.truncated += truncated.tolist()
        self.times.append(times)

    def fail(self, message: str) -> None:
        """An error."""
        self.failed.append(message)

    def count_run(self, texts: int, begun: int, ended: int) -> None:
        """A run."""
        self.counted.append((texts, begun, ended))

    def is_cancelled(self) -> bool:
        """As the test says."""
        return self.cancelled


def make(
    engine: Engine,
    run_cost: float = INFINITE,
    *,
    together: bool = True,
    delay_ns: int = 0,
    remembered: int = 0,
    tokenization: Tokenization | None = None,
    lone_engine: Engine | None = None,
) -> Pipeline:
    """A pipeline that has measured, and been told to take another cost than that."""
    made = Pipeline(
        Steps(
            tokenization or Tokenization(),
            decoded=lambda *_: [],
            engine=engine,
            scoring=None,
            lone_engine=lone_engine,
            shared_runs=together,
            delay_ns=delay_ns,
        ),
        remembered,
    )
    made.run_cost = run_cost
    for each in (engine, lone_engine):
        if each:
            each.runs.clear()
    return made


def ask(pipeline: Pipeline, *texts: str) -> Answer:
    """A request that waits."""
    answer = Answer()
    pipeline.add(answer, texts)
    return answer


def expected(*texts: str) -> list[list[list[float]]]:
    """What an Answer has been given, once."""
    return [[logits_of(text) for text in texts]]


class Blocked:
    """Holds the engine's runs back until they are let go."""

    def __init__(self, engine: Engine) -> None:
        self._go = threading.Event()
        self._begun = threading.Semaphore(0)
        engine.before = self._wait

    def _wait(self, _: list[str]) -> None:
        self._begun.release()
        assert self._go.wait(SECONDS)

    def wait_for(self, runs: int) -> None:
        """Until as many more runs have begun."""
        for _ in range(runs):
            assert self._begun.acquire(timeout=SECONDS)

    def go(self) -> None:
        """Let all go on."""
        self._go.set()


def worker(pipeline: Pipeline) -> threading.Thread:
    """A thread at work."""
    thread = threading.Thread(target=pipeline.work, daemon=True)
    thread.start()
    return thread


def join(*threads: threading.Thread) -> None:
    """Wait for their ends."""
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive()


def test_every_request_gets_exactly_one_answer_its_own() -> None:
    pipeline = make(Engine())
    answers = {text: ask(pipeline, text) for text in ("one", "seven", "a", WINDOWS, "nineteen")}
    pipeline.work()
    for text, answer in answers.items():
        assert (answer.given, answer.failed) == (expected(text), []), text


def test_a_request_waits_until_somebody_works() -> None:
    engine = Engine()
    answer = ask(make(engine), "one")
    assert (answer.given, engine.runs) == ([], [])


def test_a_request_says_which_of_its_texts_were_cut() -> None:
    pipeline = make(Engine())
    answer = ask(pipeline, "short", "LONG")
    pipeline.work()
    assert answer.truncated == [[False], [True]]


def test_pairs_are_tokenised_together() -> None:
    tokenization = Tokenization()
    tokenization.pairs = True
    pipeline = make(Engine(), tokenization=tokenization)
    answer = Answer()
    pipeline.add(answer, ["one", "three"], ["two", "four"])
    pipeline.work()
    assert answer.given == expected("one+two", "three+four")


def test_texts_of_one_length_share_a_run_whoever_asked() -> None:
    engine = Engine(callers=1)
    pipeline = make(engine, run_cost=50)
    long = "long " * 20
    first, second = ask(pipeline, "ab", long), ask(pipeline, "cd", long.upper())
    pipeline.work()
    assert engine.runs == [["ab", "cd"], [long, long.upper()]]
    assert first.given == expected("ab", long)
    assert second.given == expected("cd", long.upper())


def test_texts_that_ended_in_different_runs_come_back_in_order() -> None:
    engine = Engine()
    pipeline = make(engine, run_cost=0)
    rest_is_done = threading.Event()
    engine.before = lambda texts: texts != ["first"] or rest_is_done.wait(SECONDS)
    answer = ask(pipeline, "first", "second", "third")
    blocked = worker(pipeline)
    while len(engine.runs) < 1:
        time.sleep(0.001)
    pipeline.work()
    assert engine.runs == [["first"], ["second"], ["third"]]
    assert answer.given == []
    rest_is_done.set()
    join(blocked)
    assert answer.given == expected("first", "second", "third")


def test_texts_with_several_windows_are_run_alone() -> None:
    engine = Engine(callers=1)
    pipeline = make(engine)
    ask(pipeline, WINDOWS, WINDOWS, "one", "two")
    pipeline.work()
    assert sorted(map(len, engine.runs)) == [1, 1, 2]


def test_nothing_shares_a_run_where_that_is_not_wanted() -> None:
    engine = Engine(callers=1)
    pipeline = make(engine, together=False)
    answer = ask(pipeline, "one", "two", "six")
    pipeline.work()
    assert engine.runs == [["one"], ["two"], ["six"]]
    assert answer.given == expected("one", "two", "six")


def test_waiting_texts_are_shared_out_among_all_that_the_engine_takes() -> None:
    engine = Engine(callers=4)
    pipeline = make(engine)
    ask(pipeline, *["same"] * 8)
    pipeline.work()
    assert engine.runs[0] == ["same"] * 2


def test_the_longest_waiting_text_is_run_first() -> None:
    engine = Engine(callers=1)
    pipeline = make(engine, run_cost=0)
    ask(pipeline, "longest waiting")
    ask(pipeline, "b", "b")
    pipeline.work()
    assert engine.runs[0] == ["longest waiting"]


def test_no_more_than_the_engine_takes_are_run_at_once() -> None:
    engine = Engine(callers=2)
    pipeline = make(engine, run_cost=0)
    blocked = Blocked(engine)
    answers = [ask(pipeline, "same") for _ in range(8)]
    busy = [worker(pipeline), worker(pipeline)]
    blocked.wait_for(2)
    # They come, see that enough are at it, and go.
    join(*(worker(pipeline) for _ in range(6)))
    blocked.go()
    join(*busy)
    assert engine.most_at_once == 2
    assert [answer.given for answer in answers] == [expected("same")] * 8


def test_what_came_while_all_were_busy_is_run_by_those_who_are() -> None:
    engine = Engine(callers=1)
    pipeline = make(engine)
    blocked = Blocked(engine)
    ask(pipeline, "one")
    busy = worker(pipeline)
    blocked.wait_for(1)
    later = ask(pipeline, "two")
    pipeline.work()
    assert later.given == []
    blocked.go()
    join(busy)
    assert later.given == expected("two")


def test_many_threads_lose_nothing() -> None:
    engine = Engine(callers=3)
    engine.before = lambda texts: time.sleep(0.0001 * len(texts))
    pipeline = make(engine, run_cost=20)
    asked: list[tuple[list[str], Answer]] = []

    def client(number: int) -> None:
        choices = random.Random(number)
        for _ in range(125):
            texts = ["a" * choices.randint(1, 30) for _ in range(choices.randint(1, 4))]
            answer = Answer()
            asked.append((texts, answer))
            pipeline.add(answer, texts)
            pipeline.work()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    join(*threads)
    assert len(asked) == 1000
    for texts, answer in asked:
        assert (answer.given, answer.failed) == (expected(*texts), [])
    assert engine.most_at_once <= 3
    assert sum(map(len, engine.runs)) == sum(len(texts) for texts, _ in asked)


def test_a_failing_run_fails_the_requests_in_it_and_no_others() -> None:
    engine = Engine(callers=1)
    pipeline = make(engine, run_cost=10)
    apart = "a text that is too long to be with them " * 3
    others = ask(pipeline, apart)
    poisoned, beside = ask(pipeline, POISON), ask(pipeline, "beside")
    pipeline.work()
    assert [POISON, "beside"] in engine.runs
    assert (poisoned.given, poisoned.failed) == ([], ["poisoned"])
    assert (beside.given, beside.failed) == ([], ["poisoned"])
    assert (others.given, others.failed) == (expected(apart), [])


def test_the_pipeline_goes_on_after_failing_runs() -> None:
    engine = Engine()
    pipeline = make(engine)
    for _ in range(engine.callers + 1):
        ask(pipeline, POISON)
        pipeline.work()
    answer = ask(pipeline, "fine")
    pipeline.work()
    assert answer.given == expected("fine")


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("texts", [("fine", POISON), (POISON, "fine"), (POISON, POISON)])
def test_a_request_with_a_run_that_failed_fails_once_whatever_its_other_texts_give(
    texts: tuple[str, ...], together: bool
) -> None:
    pipeline = make(Engine(callers=1), together=together)
    answer = ask(pipeline, *texts)
    pipeline.work()
    assert (answer.given, answer.failed) == ([], ["poisoned"])


def test_the_rest_of_a_request_that_failed_is_not_run() -> None:
    engine = Engine()
    pipeline = make(engine, together=False)
    ask(pipeline, POISON, "rest")
    pipeline.work()
    assert engine.runs == [[POISON]]


def test_a_request_that_cannot_be_answered_fails_and_the_next_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipeline = make(Engine())
    answer, following = ask(pipeline, "one"), ask(pipeline, "two")

    def give(*_: object) -> None:
        raise KeyError("no such label")

    monkeypatch.setattr(answer, "give", give)
    pipeline.work()
    assert answer.failed == ["'no such label'"]
    assert following.given == expected("two")


@pytest.mark.parametrize("name", ["fail", "count_run", "is_cancelled"])
def test_whatever_an_answer_raises_the_pipeline_goes_on(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("the request has its response already")

    engine = Engine(callers=1)
    pipeline = make(engine, together=False)
    monkeypatch.setattr(ask(pipeline, POISON if name == "fail" else "one"), name, refuse)
    following = ask(pipeline, "two")
    pipeline.work()
    assert following.given == expected("two")


def test_a_request_whose_client_has_gone_is_not_run() -> None:
    engine = Engine(callers=1)
    pipeline = make(engine)
    gone, waits = ask(pipeline, "gone", "gone"), ask(pipeline, "here")
    gone.cancelled = True
    pipeline.work()
    assert [text for run in engine.runs for text in run] == ["here"]
    assert (gone.given, gone.failed) == ([], ["cancelled"])
    assert waits.given == expected("here")


def test_nobody_is_asked_about_a_request_that_is_being_answered() -> None:
    # The request may be the server's again by then.
    engine = Engine(callers=2)
    pipeline = make(engine, together=False)
    asking, answered = threading.Event(), threading.Event()
    overlaps: list[bool] = []

    class Slow(Answer):
        def is_cancelled(self) -> bool:
            if not asking.is_set():
                asking.set()
                overlaps.append(answered.wait(0.3))
            return True

        def fail(self, message: str) -> None:
            super().fail(message)
            answered.set()

    slow = Slow()
    pipeline.add(slow, ["one", "two"])
    first = worker(pipeline)
    assert asking.wait(SECONDS)
    pipeline.work()
    join(first)
    assert slow.failed == ["cancelled"]
    assert overlaps == [False]


def test_a_bad_text_is_refused_and_leaves_nothing_waiting() -> None:
    engine = Engine()
    pipeline = make(engine)
    answer = Answer()
    with pytest.raises(ValueError, match="row 1 has no tokens"):
        pipeline.add(answer, ["fine", BAD])
    pipeline.work()
    assert engine.runs == []
    assert (answer.given, answer.failed) == ([], [])


def test_a_request_without_texts_is_refused() -> None:
    # Nothing of it would ever be run, and so nobody would answer.
    with pytest.raises(ValueError, match="no texts"):
        make(Engine()).add(Answer(), [])


def test_a_request_knows_when_it_was_worked_on() -> None:
    engine = Engine(callers=1)
    engine.before = lambda _: time.sleep(0.002)
    pipeline = make(engine, together=False)
    began = time.monotonic_ns()
    answer = ask(pipeline, "one", "two")
    pipeline.work()
    (times,) = answer.times
    (_, first_begun, _), (_, _, last_ended) = answer.counted
    assert (times.begun, times.ended) == (first_begun, last_ended)
    assert times.ended - times.begun >= 4e6
    assert began + times.tokenised <= times.begun <= times.ended <= time.monotonic_ns()


def test_every_run_is_counted_once_with_its_texts() -> None:
    engine = Engine(callers=1)
    pipeline = make(engine, run_cost=0)
    answers = [ask(pipeline, "one", "three"), ask(pipeline, "two")]
    pipeline.run_cost = INFINITE
    pipeline.work()
    assert [texts for answer in answers for texts, _, _ in answer.counted] == [3]
    assert list(map(len, engine.runs)) == [3]


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("on_gpu", [False, True])
def test_what_a_run_costs_is_measured_with_the_engine(
    pairs: bool, on_gpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(run: Callable[[int], object], length: int, clock: Callable[[], float]) -> float:
        assert clock is (time.perf_counter if on_gpu else time.process_time)
        run(3)
        assert [len(text) for text in engine.runs[-1]] == [length] * 3
        return 7.5

    monkeypatch.setattr(module, "measured_run_cost", measured)
    tokenization = Tokenization()
    tokenization.pairs = pairs
    engine = Engine()
    steps = Steps(tokenization, lambda *_: [], engine, scoring=None, on_gpu=on_gpu)
    assert Pipeline(steps).run_cost == 7.5


def test_a_text_waits_for_company_as_long_as_it_is_told_to() -> None:
    engine = Engine()
    engine.callers = 1
    pipeline = make(engine, delay_ns=100_000_000)
    first = ask(pipeline, "one")
    worker = threading.Thread(target=pipeline.work)
    worker.start()
    second = ask(pipeline, "two")
    worker.join(SECONDS)
    assert first.given and second.given
    assert len(engine.runs) == 1


def test_a_text_does_not_wait_longer_for_company_than_it_is_told_to() -> None:
    engine = Engine()
    pipeline = make(engine, delay_ns=1_000_000)
    answer = ask(pipeline, "one")
    pipeline.work()
    assert answer.given


def test_where_texts_are_run_alone_none_waits_for_company() -> None:
    pipeline = make(Engine(), together=False, delay_ns=3600 * 10**9)
    answer = ask(pipeline, "one")
    pipeline.work()
    assert answer.given


def test_a_text_that_comes_again_is_answered_from_memory() -> None:
    engine = Engine()
    pipeline = make(engine, remembered=10)
    first = ask(pipeline, "ONE", "two")
    pipeline.work()
    engine.runs.clear()
    again = ask(pipeline, "two", "ONE")
    assert again.given == [first.given[0][::-1]]
    assert again.truncated == [[False], [True]]
    assert engine.runs == []


def test_only_what_is_new_in_a_request_is_run() -> None:
    engine = Engine()
    pipeline = make(engine, remembered=10)
    ask(pipeline, "two")
    pipeline.work()
    engine.runs.clear()
    answer = ask(pipeline, "one", "two", "THREE")
    pipeline.work()
    assert sorted(text for run in engine.runs for text in run) == ["THREE", "one"]
    assert answer.given == [[logits_of(text) for text in ("one", "two", "THREE")]]
    assert answer.truncated == [[False], [False], [True]]


def test_a_text_that_the_engine_failed_on_is_not_remembered() -> None:
    engine = Engine()
    pipeline = make(engine, remembered=10)
    ask(pipeline, POISON)
    pipeline.work()
    answer = ask(pipeline, POISON)
    pipeline.work()
    assert answer.failed == ["poisoned"]
    assert len(engine.runs) == 2


def slow_down(engine: Engine, seconds: float) -> Engine:
    """An engine that takes its time."""
    engine.before = lambda _: time.sleep(seconds)
    return engine


def run_two_at_once(pipeline: Pipeline, lone_engine: Engine) -> None:
    """The first is alone when it begins, and still runs when the second one does."""
    blocked = Blocked(lone_engine)
    ask(pipeline, "first")
    first = worker(pipeline)
    blocked.wait_for(1)
    ask(pipeline, "second")
    pipeline.work()
    blocked.go()
    join(first)


def test_a_run_that_is_alone_has_the_engine_for_those_and_others_have_not() -> None:
    engine, lone_engine = slow_down(Engine(), 0.004), Engine()
    pipeline = make(engine, lone_engine=lone_engine)
    run_two_at_once(pipeline, lone_engine)
    assert lone_engine.runs == [["first"]]
    assert engine.runs == [["second"]]


@pytest.mark.parametrize(("quiet_ns", "alone"), [(0, True), (1 << 62, False)])
def test_runs_count_on_being_alone_again_when_it_has_been_quiet(
    quiet_ns: int, alone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, lone_engine = slow_down(Engine(), 0.004), Engine()
    pipeline = make(engine, lone_engine=lone_engine)
    run_two_at_once(pipeline, lone_engine)
    monkeypatch.setattr(module, "QUIET_NS", quiet_ns)
    ask(pipeline, "third")
    pipeline.work()
    assert (["third"] in lone_engine.runs) == alone
    assert (["third"] in engine.runs) != alone


def test_an_engine_for_lone_texts_that_gains_nothing_is_let_go() -> None:
    pipeline = make(slow_down(Engine(), 0.004), lone_engine=slow_down(Engine(), 0.004))
    assert pipeline.steps.lone_engine is None
    answer = ask(pipeline, "one")
    pipeline.work()
    assert answer.given == expected("one")
