"""utils/tuning/choice.py: which settings are taken."""

from tests.unit.tuning import contender, with_rates
from utils.tuning.choice import choose

NOW = with_rates("now", [100, 100, 100])


def test_without_a_budget_the_highest_rate_is_taken() -> None:
    found = choose([NOW, with_rates("some", [110] * 3), with_rates("most", [120] * 3)], None)
    assert found.contender.settings.threads == "most"
    assert found.reason == "the highest rate: +20% in 3 rounds, spread 0%"


def test_the_highest_rate_may_be_at_any_number_of_clients() -> None:
    now = contender("now", *[{1: (90, 1), 8: (100, 9)}] * 3)
    other = contender("other", *[{1: (150, 1), 8: (80, 9)}] * 3)
    found = choose([now, other], None)
    assert found.contender is other
    assert (found.score.clients, found.score.rate) == (1, 150)


def test_the_current_settings_stay_where_they_are_the_best() -> None:
    found = choose([NOW, with_rates("less", [90] * 3)], None)
    assert found.contender is NOW
    assert found.reason == "the highest rate: the current settings"


def test_the_current_settings_stay_unless_the_gain_is_more_than_the_spread() -> None:
    found = choose([NOW, with_rates("other", [95, 110, 130])], None)
    assert found.contender is NOW
    assert found.reason == (
        "the current settings: none is surely better (other, alone: +10% in 3 rounds, spread 30%)"
    )


def test_a_gain_just_over_the_spread_is_taken() -> None:
    other = with_rates("other", [104, 110, 111])
    assert choose([NOW, other], None).contender is other


def test_one_round_that_was_disturbed_does_not_decide() -> None:
    other = with_rates("other", [150, 151, 20, 149, 152])
    assert choose([with_rates("now", [100] * 5), other], None).contender is other


def test_what_disturbs_both_in_a_round_does_not_count() -> None:
    now = with_rates("now", [100, 20, 60])
    other = with_rates("other", [120, 24, 72])
    assert choose([now, other], None).contender is other


def test_a_gain_of_less_than_two_percent_is_not_worth_a_change() -> None:
    assert choose([NOW, with_rates("other", [101.9] * 3)], None).contender is NOW


def test_too_few_rounds_change_nothing_and_say_so() -> None:
    now, other = with_rates("now", [100] * 2), with_rates("other", [200] * 2)
    found = choose([now, other], None)
    assert found.contender is now
    assert "in 2 rounds, spread 0%; more rounds need a longer --budget-s" in found.reason


def test_what_was_given_up_or_is_out_is_not_taken() -> None:
    early, wrong = with_rates("early", [300]), with_rates("wrong", [300] * 3)
    wrong.out = "1 other labels"
    assert choose([NOW, early, wrong], None).contender is NOW


def test_with_a_budget_the_highest_rate_within_it_is_taken() -> None:
    now = contender("now", *[{1: (50, 20), 8: (100, 90)}] * 3)
    fast = contender("fast", *[{1: (60, 45), 8: (200, 90)}] * 3)
    quick = contender("quick", *[{1: (70, 15), 8: (80, 49)}] * 3)
    found = choose([now, fast, quick], 50)
    assert found.contender is quick
    assert (found.score.clients, found.score.tail) == (8, 49)
    assert found.reason == "the highest rate with p95 within 50 ms: +60% in 3 rounds, spread 0%"


def test_the_budget_is_kept_by_the_median_round() -> None:
    now = contender("now", {1: (50, 49)}, {1: (50, 300)}, {1: (50, 48)})
    assert choose([now, with_rates("other", [40] * 3)], 50).score.within


def test_settings_that_keep_the_budget_replace_those_that_do_not_whatever_their_rate() -> None:
    now = contender("now", *[{8: (100, 90)}] * 3)
    quick = contender("quick", *[{8: (40, 49)}] * 3)
    found = choose([now, quick], 50)
    assert found.contender is quick
    assert found.reason == (
        "the highest rate with p95 within 50 ms, which the current settings do not keep"
    )


def test_where_none_keeps_the_budget_the_lowest_latency_is_taken_and_it_says_so() -> None:
    now = contender("now", *[{1: (50, 40), 8: (100, 90)}] * 3)
    quick = contender("quick", *[{1: (40, 20), 8: (90, 95)}] * 3)
    found = choose([now, quick], 10)
    assert found.contender is quick
    assert (found.score.clients, found.score.tail) == (1, 20)
    assert found.reason == (
        "the lowest p95; no settings keep it within 10 ms: +100% in 3 rounds, spread 0%"
    )


def test_current_settings_that_stay_without_keeping_the_budget_say_so() -> None:
    now = contender("now", *[{1: (50, 20)}] * 3)
    other = contender("other", {1: (50, 19)}, {1: (50, 12)}, {1: (50, 29)})
    found = choose([now, other], 10)
    assert found.contender is now
    assert found.reason.endswith("; p95 is not within 10 ms with any")


def test_settings_without_any_answer_in_time_do_not_keep_a_budget() -> None:
    silent = contender("silent", *[{1: (0, 1)}] * 3)
    for points in silent.rounds:
        points[1].latencies.clear()
    found = choose([NOW, silent], 50)
    assert found.contender is NOW
    assert not silent.best(50).within
