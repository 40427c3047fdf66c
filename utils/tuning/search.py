"""The search for the best settings of a repository, from its candidates to the choice."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from utils.errors import UserError
from utils.join_steps import ensemble_folder
from utils.lint_repository import parse_config
from utils.load.generator import generator
from utils.targets.machine import this_machine
from utils.tuning.choice import Choice, Contender, choose
from utils.tuning.cpus import cpu_budget
from utils.tuning.measure import Bench, Point
from utils.tuning.pace import END, make_pace
from utils.tuning.pool import Pool
from utils.tuning.repository import check_measurable, graph_config, precision
from utils.tuning.results import Result
from utils.tuning.rounds import run_rounds
from utils.tuning.settings import candidates, on_gpu
from utils.tuning.texts import Answers, texts_of

# Of the time, for the check at random times; of the chosen rate, how many requests then come.
LAST_SHARE, LAST_LOAD = 0.08, 0.8

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Wish:
    """The command line, but for where results go.

    Attributes:
        samples: the user's texts; None for those of the repository.
        latency: ms that p95 may take; None for any.
        clients: numbers of clients.
        seconds: for all of it.
    """

    samples: Path | None
    latency: float | None
    clients: tuple[int, ...]
    seconds: float


def tune(repository: Path, wish: Wish, tell: Tell) -> Result | None:
    """Measure and choose; None where there is nothing to choose from.

    Raises:
        UserError: it cannot be measured here, or not in the time.
    """
    deadline = time.monotonic() + wish.seconds
    check_measurable(repository, this_machine())
    folder = ensemble_folder(repository)
    texts = texts_of(repository, wish.samples, parse_config(folder / "config.pbtxt"))
    cpus = cpu_budget()
    config = graph_config(repository)
    contenders = [Contender(item) for item in candidates(config, cpus)]
    if len(contenders) < 2:
        return None
    now = contenders[0].settings
    with (
        generator(os.sched_getaffinity(0)) as run,
        Pool(repository, folder.name, several=not on_gpu(config)) as pool,
    ):
        bench = Bench(pool, folder.name, texts, run)
        tell(f"each of {len(texts)} texts alone")
        begun = time.monotonic()
        known, asked = bench.alone(now)
        start = time.monotonic() - begun - asked
        last = wish.seconds * LAST_SHARE
        end = deadline - last - END
        pace = make_pace(
            len(contenders),
            wish.clients,
            len(texts) / asked,
            start,
            pool.keeps(now),
            end - time.monotonic(),
        )
        answers = Answers(known)
        run_rounds(contenders, pace, answers, wish.latency, bench.closed, pool.retire, end, tell)
        choice = choose(contenders, wish.latency)
        tell(f"requests at random times: {choice.contender.settings.name}")
        rate = choice.score.rate * LAST_LOAD
        confirmed = _confirm(bench, choice, answers, rate, last)
    return Result(
        contenders=contenders,
        choice=choice,
        clients=wish.clients,
        texts=len(texts),
        precision=precision(repository),
        cpus=cpus,
        budget=wish.latency,
        confirmed=confirmed,
        rate=rate,
    )


def _confirm(bench: Bench, choice: Choice, answers: Answers, rate: float, seconds: float) -> Point:
    """Latencies at random times.

    Raises:
        UserError: now a request has no answer, or another one.
    """
    turn, point = bench.open(choice.contender.settings, rate, seconds)
    changed = answers.changed(turn.labels)
    if turn.failures or changed:
        raise UserError(
            choice.contender.settings.name,
            f"at random times {turn.failures} requests without an answer, {changed} other labels",
        )
    return point
