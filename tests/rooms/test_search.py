"""The search stops early, serves several scorers at once, and knows what it knows at any time."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from hormesis.statistics import runs
from hormesis.statistics.intervals import Drop
from hormesis.statistics.search import BOUNDARY, FIRST, Looks, Outcome, Search, Seen, break_interval

ALL = 1_000_000


def drive(search, answer, steps=None):
    """Answer a search by `answer(level, look)`; return what it asked, at most `steps` questions."""
    asked, run = [], search.run()
    try:
        wish = next(run)
        while steps is None or len(asked) < steps:
            asked.append(wish)
            wish = run.send(answer(*wish))
    except StopIteration:
        pass
    return asked


def found(drops, looks=None, tolerance=0.05, **settings):
    """Search curves that look the same at every look: one list of drops per scorer."""
    looks = looks or Looks.of(ALL)
    search = Search(len(drops[0]), looks, tolerance, len(drops), **settings)
    asked = drive(search, lambda level, _: [curve[level] for curve in drops])
    return [search.outcome(s) for s in range(len(drops))], asked


def sure(values, se=1e-6):
    return [None if v is None else Drop(v, se, ALL) for v in values]


# The boundary


def wrong(c, shares):
    """Chance that a Brownian motion ever leaves ±c sqrt(t) t**-0.25 at the looks (integrated look by look)."""
    t = np.array(shares)
    edge = c * t**0.25
    x = np.linspace(-edge[0], edge[0], 801)
    density = norm.pdf(x, 0, np.sqrt(t[0]))
    for before, now, b in zip(t, t[1:], edge[1:], strict=False):
        y = np.linspace(-b, b, 801)
        step = norm.pdf(y[:, None], x, np.sqrt(now - before))
        x, density = y, np.trapezoid(step * density, x, axis=1)
    return 1 - np.trapezoid(density, x)


@pytest.mark.parametrize("alpha", sorted(BOUNDARY))
@pytest.mark.parametrize("looks", [2, 3, 6, 11])
def test_the_boundary_keeps_its_promise_for_any_number_of_looks(alpha, looks):
    shares = [2.0 ** (k - looks + 1) for k in range(looks)]
    assert 0.85 * alpha < wrong(BOUNDARY[alpha], shares) < 1.02 * alpha


def test_looks_double_up_to_all_units():
    looks = Looks.of(10_000)
    assert looks.units == (156, 312, 625, 1250, 2500, 5000, 10_000)
    assert looks.c[-1] == 2.06
    assert looks.c[0] == pytest.approx(2.06 * (10_000 / 156) ** 0.25)
    assert looks.units[0] >= FIRST
    assert Looks.of(311).units == (311,)
    assert Looks.of(311).c[0] == pytest.approx(1.959964, abs=1e-6)
    assert Looks.of(20).units == (20,)


@pytest.mark.parametrize(
    ("n", "rows"), [(200, 200), (1000, 250), (10_000, 625), (100_000, 781), (50_000, 781)]
)
def test_other_levels_are_checked_on_about_a_sixteenth_of_the_rows(n, rows):
    looks = Looks.of(n)
    assert looks.units[looks.glance] == rows


# Hand-made curves


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0] * 12, (11, 12)),
        ([0.2] * 12, (-1, 0)),
        ([0.0] + [0.2] * 11, (0, 1)),
        ([0.0] * 7 + [0.2] * 5, (6, 7)),
        ([0.0] * 11 + [0.2], (10, 11)),
        ([0.0] * 9 + [None] * 3, (8, 9)),
        ([None] * 12, (-1, 0)),
        ([0.0], (0, 1)),
        ([0.2], (-1, 0)),
    ],
)
def test_a_sure_curve_is_found_on_the_first_rows(values, expected):
    (outcome,), asked = found([sure(values)])
    assert (outcome.passes, outcome.fails) == expected
    searched = [ask for ask in asked if not outcome.seen[ask[0]].checked]
    assert len(searched) <= math.ceil(math.log2(len(values) + 1)) + 1
    assert {look for _, look in searched} == {0}
    assert outcome.warnings == ()


def test_a_level_at_which_the_model_raises_has_failed():
    (outcome,), _ = found([sure([0.0, 0.0, None, None])])
    assert outcome.seen[2] == Seen(None, math.inf, math.inf, 0, "fails")


def test_a_level_that_stays_undecided_is_looked_at_to_the_end_unless_that_is_futile():
    curve = sure([0.0, 0.0, 0.051, 0.2, 0.2], se=0.005)
    (patient,), slow = found([curve], futility=0.0)
    (hasty,), quick = found([curve])
    assert (patient.passes, patient.fails) == (hasty.passes, hasty.fails) == (1, 3)
    assert (2, len(Looks.of(ALL).units) - 1) in slow
    assert hasty.seen[2].word == "undecided"
    assert Looks.of(ALL).units[hasty.seen[2].look] >= 0.2 * ALL
    assert len(quick) < len(slow)


def test_a_curve_that_crosses_back_is_reported():
    values = [0.0, 0.0, 0.2, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    (outcome,), _ = found([sure(values)])
    assert outcome.passes == 11
    assert outcome.warnings == (2, 3)
    assert outcome.seen[2].checked


def test_a_failure_of_the_check_below_the_last_pass_is_a_warning_and_one_above_is_none():
    (outcome,), _ = found([sure([0.0] * 6 + [0.2] * 6)])
    assert outcome.warnings == ()
    assert {j for j, s in outcome.seen.items() if s.word == "fails"} == set(range(6, 12))


def test_at_most_eight_unvisited_levels_are_checked_evenly():
    (outcome,), _ = found([sure([0.0] * 30 + [0.2] * 34)])
    checked = sorted(j for j, s in outcome.seen.items() if s.checked)
    assert len(checked) == 8
    assert checked[0] == 0
    assert checked[-1] >= 62
    assert max(np.diff(checked)) <= 63 / 7 + len(outcome.seen) - 8


def random_curve(r, levels):
    value = np.cumsum(r.random(levels)) * 0.12 / levels
    if r.random() < 0.2:
        value = value[::-1]
    return [Drop(float(v), float(s), 300) for v, s in zip(value, r.uniform(0.002, 0.02, levels), strict=True)]


def test_one_look_finds_what_the_grid_finds():
    r = np.random.default_rng(0)
    for trial in range(300):
        levels = int(r.integers(1, 25))
        curve = random_curve(r, levels)
        # An interval that only grows with the level makes runs unique: bisection promises the grid's answer there.
        low, high = (np.maximum.accumulate(side) for side in zip(*(d.interval() for d in curve), strict=True))
        half = (high - low) / 2 / Drop(0.0, 1.0, 300).interval()[1]
        curve = [Drop(float(m), float(s), 300) for m, s in zip((low + high) / 2, half, strict=True)]
        low, high = (np.array(side) for side in zip(*(d.interval() for d in curve), strict=True))
        passes, fails = runs(low, high, 0.05)
        (outcome,), asked = found([curve], Looks.of(301), futility=0.0)
        assert (outcome.passes + 1, outcome.fails) == (passes, fails), trial
        assert len(asked) == len(set(asked))


def test_several_scorers_find_what_each_finds_alone():
    r = np.random.default_rng(1)
    for _ in range(100):
        curves = [sorted(random_curve(r, 12), key=lambda d: d.value) for _ in range(3)]
        flat = [[Drop(d.value, 0.001, 300) for d in curve] for curve in curves]
        together, asked = found(flat)
        assert len(asked) == len(set(asked))
        for curve, outcome in zip(flat, together, strict=True):
            (alone,), _ = found([curve])
            assert (alone.passes, alone.fails) == (outcome.passes, outcome.fails)


def test_a_scorer_that_needs_more_rows_does_not_unsettle_one_that_is_done():
    def answer(level, look):
        true = 0.0 if level < 6 else 0.2
        flicker = Drop(0.0, 1e-6, ALL) if look == 0 else Drop(0.2, 1e-6, ALL)
        return [flicker if level < 6 else Drop(0.2, 1e-6, ALL), Drop(true, 0.2 * 0.6**look, ALL)]

    search = Search(12, Looks.of(ALL), 0.05, 2)
    drive(search, answer)
    assert search.outcome(0).passes == search.outcome(1).passes == 5
    assert search.outcome(0).seen[5].look == 0
    assert search.outcome(1).seen[5].look > 0


def test_a_level_seen_for_another_scorer_is_taken_up_again_where_it_was_left():
    # The second scorer meets level 2 while the first needs it, briefly; later it needs it itself.
    looks = Looks.of(ALL)

    def answer(level, look):
        slow = 0.02 if look < len(looks.units) - 1 else 1e-6
        return [Drop([0.0, 0.0, 0.0, 0.2][level], 1e-6, ALL), Drop([0.0, 0.0, 0.2, 0.2][level], slow, ALL)]

    search = Search(4, looks, 0.05, 2, futility=0.0)
    asked = drive(search, answer)
    assert len(asked) == len(set(asked))
    assert (search.outcome(0).passes, search.outcome(0).fails) == (2, 3)
    assert (search.outcome(1).passes, search.outcome(1).fails) == (1, 2)


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("se", [math.inf, math.nan])
def test_what_cannot_be_measured_decides_nothing(value, se):
    (outcome,), _ = found([[Drop(value, se, ALL)] * 12])
    assert (outcome.passes, outcome.fails) == (-1, 12)
    assert {s.word for s in outcome.seen.values()} == {"undecided"}
    assert (outcome.seen[5].low, outcome.seen[5].high) == (-math.inf, math.inf)
    assert break_interval(range(1, 13), outcome, 0.05) == (0.0, None)


def test_a_score_that_only_more_rows_can_carry_is_found_late():
    def answer(level, look):
        return [Drop(0.0 if level < 6 else 0.2, 1e-6 if look >= 2 else math.inf, ALL)]

    search = Search(12, Looks.of(ALL), 0.05)
    drive(search, answer)
    assert (search.outcome(0).passes, search.outcome(0).fails) == (5, 6)
    assert search.outcome(0).seen[5].look == 2


def test_a_drop_without_error_is_decided_at_once():
    (outcome,), _ = found([[Drop(v, 0.0, 1.0) for v in (0.0, 0.05, 0.050001)]])
    assert (outcome.passes, outcome.fails) == (1, 2)


def test_a_search_cut_short_only_knows_less():
    r = np.random.default_rng(2)
    for _ in range(30):
        curve = [Drop(d.value, 0.004, 300) for d in sorted(random_curve(r, 12), key=lambda d: d.value)]
        (end,), asked = found([curve])
        assert Search(12, Looks.of(ALL), 0.05).outcome(0) == Outcome(-1, 12, {})
        for steps in range(1, len(asked)):
            search = Search(12, Looks.of(ALL), 0.05)
            drive(search, lambda level, _, curve=curve: [curve[level]], steps)
            cut = search.outcome(0)
            assert cut.passes <= end.passes
            assert cut.fails >= end.fails
            assert set(cut.seen) <= set(end.seen)
            low, high = break_interval(range(1, 13), cut, 0.05)
            whole = break_interval(range(1, 13), end, 0.05)
            assert low <= whole[0]
            assert high is None or (whole[1] is not None and whole[1] <= high)


# The continuous break point


def seen(low, high, *, checked=False):
    return Seen(Drop((low + high) / 2, 0.1, 9), low, high, 0, "undecided", checked)


def test_the_break_interval_crosses_between_visited_neighbours():
    outcome = Outcome(0, 2, {0: seen(0.0, 0.03), 1: seen(0.04, 0.07), 2: seen(0.08, 0.12)})
    low, high = break_interval([0.1, 0.2, 0.3], outcome, 0.05)
    assert low == pytest.approx(0.15)
    assert high == pytest.approx(0.225)


def test_the_break_interval_keeps_to_the_grid_where_a_neighbour_was_not_seen():
    ends = {0: seen(0.0, 0.03), 1: seen(0.04, 0.07, checked=True), 2: seen(0.08, 0.12)}
    assert break_interval([0.1, 0.2, 0.3], Outcome(0, 2, ends), 0.05) == (0.1, 0.3)


def test_the_break_interval_never_draws_a_line_from_the_clean_end():
    fails = {0: seen(0.1, 0.2)}
    assert break_interval([0.1, 0.2], Outcome(-1, 0, fails), 0.05) == (0.0, 0.1)
    assert break_interval([0.1, 0.2], Outcome(-1, 2, {0: seen(0.0, 0.2)}), 0.05) == (0.0, None)


def test_a_curve_that_holds_is_not_extrapolated():
    assert break_interval([0.1, 0.2], Outcome(1, 2, {1: seen(0.0, 0.01)}), 0.05) == (0.2, None)


def test_a_model_that_raises_gives_no_line():
    raised = Seen(None, math.inf, math.inf, 0, "fails")
    assert break_interval([0.1, 0.2], Outcome(0, 1, {0: seen(0.0, 0.01), 1: raised}), 0.05) == (0.1, 0.2)
