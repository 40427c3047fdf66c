"""utils/tuning/rounds.py and pace.py: who is measured, for how long, and who is given up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from unittest import mock

import pytest

from tests.unit.tuning import points, settings
from utils.errors import UserError
from utils.tuning.choice import Contender
from utils.tuning.measure import Turn
from utils.tuning.pace import Pace, field_sizes, make_pace
from utils.tuning.rounds import GIVEN_UP, NO_TIME, run_rounds
from utils.tuning.settings import Settings
from utils.tuning.texts import Answers


@dataclass
class Machine:
    """Measures rates by name; what it was asked is in `turns`, round by round."""

    rates: Mapping[str, float]
    labels: Mapping[str, str] = field(default_factory=dict)
    failing: frozenset[str] = frozenset()
    stopping: frozenset[str] = frozenset()
    seconds: float = 0.0
    clock: float = 0.0
    turns: list[str] = field(default_factory=list)
    retired: list[str] = field(default_factory=list)

    def measure(self, tried: Settings, windows: Mapping[int, float]) -> Turn:
        name = tried.threads
        self.turns.append(name)
        self.clock += self.seconds
        if name in self.stopping:
            raise UserError("server", "stopped: no such thing")
        figures = points(dict.fromkeys(windows, (self.rates[name], 10.0)))
        return Turn(figures, {0: {self.labels.get(name, "good")}}, int(name in self.failing))

    def retire(self, losers: list[Settings]) -> None:
        self.retired += [each.threads for each in losers]


def run(machine: Machine, seconds: float = 60.0, most: int = 99) -> list[Contender]:
    """Rounds of all that the machine has rates of, the first the current settings."""
    contenders = [Contender(settings(name)) for name in machine.rates]
    clock = SimpleNamespace(monotonic=lambda: machine.clock)
    with mock.patch("utils.tuning.rounds.time", clock):
        run_rounds(
            contenders,
            Pace(min(most, len(contenders)), {1: 0.5}),
            Answers({0: {"good"}}),
            None,
            machine.measure,
            machine.retire,
            seconds,
            lambda _: None,
        )
    return contenders


def outs(contenders: list[Contender]) -> dict[str, str]:
    return {item.settings.threads: item.out for item in contenders if item.out}


def test_after_two_rounds_the_field_is_halved_to_two_and_there_are_three_rounds_at_least() -> None:
    assert field_sizes(9) == [9, 9, 5, 3, 2]
    assert field_sizes(3) == [3, 3, 2]
    assert field_sizes(2) == [2, 2, 2]


def test_all_that_are_left_take_their_turns_and_the_worse_half_is_given_up() -> None:
    machine = Machine({"now": 1, "a": 9, "b": 5, "c": 7, "d": 3})
    contenders = run(machine)
    assert machine.turns[:15] == [*["now", "a", "b", "c", "d"] * 2, "now", "a", "c", "now", "a"]
    assert outs(contenders) == {"b": GIVEN_UP, "c": GIVEN_UP, "d": GIVEN_UP}


def test_the_current_settings_are_never_given_up() -> None:
    contenders = run(Machine({"now": 1, "a": 2, "b": 3, "c": 4}))
    assert contenders[0].out == ""
    assert len(contenders[0].rounds) == len(contenders[3].rounds)


def test_servers_of_losers_are_ended_when_they_lose() -> None:
    machine = Machine({"now": 1, "a": 9, "b": 5, "c": 7, "d": 3})
    run(machine)
    assert machine.retired == ["b", "d", "c"]


def test_the_last_two_go_on_for_seven_rounds_while_there_is_time() -> None:
    assert {len(item.rounds) for item in run(Machine({"now": 1, "a": 2}))} == {7}


def test_when_the_time_is_up_no_round_is_begun_that_would_not_end() -> None:
    machine = Machine({"now": 1, "a": 2}, seconds=1)
    contenders = run(machine, seconds=9)
    assert {len(item.rounds) for item in contenders} == {4}
    assert len(machine.turns) == 8


def test_a_round_that_the_time_cuts_short_is_forgotten() -> None:
    contenders = run(Machine({"now": 1, "a": 2, "b": 3}, seconds=1), seconds=4.8)
    assert [len(item.rounds) for item in contenders] == [1, 1, 1]


def test_candidates_that_there_is_no_time_for_are_not_measured() -> None:
    machine = Machine({"now": 1, "a": 2, "b": 3})
    contenders = run(machine, most=2)
    assert outs(contenders) == {"b": NO_TIME}
    assert "b" not in machine.turns


def test_another_label_puts_a_candidate_out_however_fast() -> None:
    contenders = run(Machine({"now": 1, "a": 9, "b": 2}, labels={"a": "bad"}))
    assert outs(contenders)["a"] == "1 other labels"


def test_a_label_that_the_current_settings_give_under_load_is_no_other_label() -> None:
    contenders = run(Machine({"now": 1, "a": 9}, labels={"now": "close", "a": "close"}))
    assert outs(contenders) == {}


def test_a_request_without_an_answer_puts_a_candidate_out() -> None:
    contenders = run(Machine({"now": 1, "a": 9, "b": 2}, failing=frozenset({"a"})))
    assert outs(contenders)["a"] == "1 requests without an answer"


def test_a_candidate_that_does_not_start_is_out_with_its_reason() -> None:
    contenders = run(Machine({"now": 1, "a": 9, "b": 2}, stopping=frozenset({"a"})))
    assert outs(contenders)["a"] == "does not start: server: stopped: no such thing"


def test_without_others_the_current_settings_are_left_alone() -> None:
    machine = Machine({"now": 1, "a": 9}, stopping=frozenset({"a"}))
    run(machine)
    assert machine.turns == ["now", "a"]


def test_current_settings_that_do_not_answer_end_it() -> None:
    with pytest.raises(UserError, match="the current settings: 1 requests without an answer"):
        run(Machine({"now": 1, "a": 9}, failing=frozenset({"now"})))
    with pytest.raises(UserError, match="server: stopped"):
        run(Machine({"now": 1, "a": 9}, stopping=frozenset({"now"})))


def pace(seconds: float, rate: float = 100.0, once: bool = True) -> Pace:
    return make_pace(9, [1, 8], rate, 2.0, once, seconds)


def test_with_time_all_candidates_are_measured_for_as_long_as_fits() -> None:
    assert pace(120).contenders == 9
    assert pace(120).windows[1] < pace(200).windows[1] <= 4.0


def test_what_is_planned_fits_into_the_time() -> None:
    for seconds in (40, 60, 100, 300):
        found = pace(seconds)
        sizes = field_sizes(found.contenders)
        loads = sum(sizes) * 1.25 * sum(found.windows.values())
        assert loads + 2.0 * (found.contenders - 1 + len(sizes)) <= seconds


def test_with_little_time_fewer_candidates_are_measured() -> None:
    assert 2 <= pace(30).contenders < 9
    assert pace(60, once=False).contenders < pace(60).contenders


def test_each_client_of_a_slow_model_gets_two_answers() -> None:
    assert pace(600, rate=4.0).windows == {1: pytest.approx(0.5), 8: pytest.approx(4.0)}


def test_too_little_time_is_refused_with_what_is_missing() -> None:
    with pytest.raises(UserError, match=r"^--budget-s: \d+ s more are needed"):
        pace(5)
