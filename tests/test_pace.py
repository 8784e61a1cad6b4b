from __future__ import annotations

import json
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egate_lsp.calibration import points_of
from egate_lsp.pace import GAMMA, REACH, SPAN, Pace
from egate_lsp.pace_file import SAVE_EVERY, PaceFile

UNIFORM = points_of([number / 1000 for number in range(1000)])
RATES = st.floats(0.02, 0.6)
SCORES = st.lists(st.floats(0, 1), max_size=300)
LONG_AGO = 1_000_000  # lines after which steps are as short as they get


def fed(pace: Pace, score: float) -> bool:
    deferred = score >= pace.tau
    pace.saw(score, deferred=deferred)
    return deferred


@given(RATES, SCORES)
def test_it_stays_inside_its_bounds_whatever_comes(wanted, scores) -> None:
    pace = Pace.start(wanted, UNIFORM)
    for score in scores:
        fed(pace, score)
        assert wanted / SPAN <= pace.rate <= min(SPAN * wanted, 1.0)
        assert wanted / SPAN <= pace.held <= min(SPAN * wanted, 1.0)
        assert -0.5 <= pace.run <= 0.5


@given(RATES, SCORES)
def test_between_its_bounds_the_realised_rate_is_what_was_wanted_and_what_it_moved(wanted, scores) -> None:
    pace = Pace.start(wanted, UNIFORM, {"held": wanted, "lines": LONG_AGO})
    deferred = 0
    for score in scores:
        deferred += fed(pace, score)
        if pace.held in {wanted / SPAN, min(SPAN * wanted, 1.0)}:
            return  # a bound was met
    assert deferred - wanted * len(scores) == pytest.approx((wanted - pace.held) / GAMMA, abs=1e-6)


@given(RATES, SCORES)
def test_steps_shrink_from_long_ones_and_stay_short_in_a_later_session(wanted, scores) -> None:
    pace = Pace.start(wanted, UNIFORM)
    moves = []
    for score in (0.0, *scores):
        before = pace.held
        deferred = fed(pace, score)
        if pace.held not in {wanted / SPAN, min(SPAN * wanted, 1.0)}:
            moves.append(abs(pace.held - before) / abs(wanted - deferred))
    later = Pace.start(wanted, UNIFORM, pace.state())

    assert moves[:1] == pytest.approx([max(wanted, GAMMA)][: len(moves)])
    assert moves == sorted(moves, reverse=True) or moves == pytest.approx(sorted(moves, reverse=True))
    assert later.former == len(scores) + 1
    assert Pace.start(wanted, UNIFORM, pace.state(), days=3000).former < 1.0


def test_code_unlike_the_calibrations_is_met_within_a_few_dozen_lines() -> None:
    """A tau that would defer 45 % where 20 % are wanted; the mean of many sessions of 60 lines."""
    rates = []
    for seed in range(100):
        chance = random.Random(seed)
        pace = Pace.start(0.2, UNIFORM)
        rates.append(sum(fed(pace, chance.random() ** 0.4) for _ in range(60)) / 60)

    assert sum(rates) / len(rates) == pytest.approx(0.2, abs=0.07)


@settings(max_examples=30)
@given(st.sampled_from([0.1, 0.2, 0.4]), st.floats(0.5, 2.0), st.integers(0, 2**32))
def test_a_step_in_the_code_is_followed_and_then_it_rests(wanted, power, seed) -> None:
    """The calibration says uniform; the code's scores are u ** power, so the shipped tau would defer another share."""
    chance = random.Random(seed)
    pace = Pace.start(wanted, UNIFORM)
    for _ in range(600):
        fed(pace, chance.random() ** power)
    held, deferred = [], 0
    for _ in range(1500):
        deferred += fed(pace, chance.random() ** power)
        held.append(pace.held)
    middle = sum(held) / len(held)

    assert deferred / 1500 == pytest.approx(wanted, abs=0.03)
    assert (sum((value - middle) ** 2 for value in held) / len(held)) ** 0.5 < 0.1  # it does not hunt


@given(RATES, st.integers(1, 100))
def test_runs_make_it_more_and_less_eager(wanted, length) -> None:
    unsure, sure = Pace.start(wanted, UNIFORM), Pace.start(wanted, UNIFORM)
    for _ in range(length):
        unsure.saw(0.99, deferred=False)
        sure.saw(0.01, deferred=False)

    assert unsure.held == sure.held
    assert sure.rate <= unsure.rate <= sure.rate * REACH**2 + 1e-9
    assert unsure.rate > sure.rate or unsure.rate == min(SPAN * wanted, 1.0)


@pytest.mark.parametrize("wanted", [0.0, 1.0])
def test_never_and_always_do_not_adapt(wanted) -> None:
    pace = Pace.start(wanted, UNIFORM)
    for score in (0.0, 0.5, 1.0) * 50:
        assert pace.tau == (float("inf") if wanted == 0.0 else pace.tau)
        fed(pace, score)
    assert pace.deferred == (150 if wanted == 1.0 else 0)


def test_a_later_session_goes_on_and_a_much_later_one_has_forgotten() -> None:
    known = {"held": 0.6}

    assert Pace.start(0.2, UNIFORM, known).held == pytest.approx(0.6)
    assert Pace.start(0.2, UNIFORM, known, days=30).held == pytest.approx(0.4)
    assert Pace.start(0.2, UNIFORM, known, days=3000).held == pytest.approx(0.2)
    assert Pace.start(0.2, UNIFORM, {"held": 7.0}).held == pytest.approx(0.8)
    assert Pace.start(0.2, UNIFORM, {"held": "x"}).held == pytest.approx(0.2)
    assert Pace.start(0.2, UNIFORM, {"held": float("nan")}).held == pytest.approx(0.2)


def test_the_file_keeps_each_controller_and_survives_nonsense(tmp_path) -> None:
    path = tmp_path / "state" / "pace.json"
    file = PaceFile(path, "one")
    pace = file.start(0.2, UNIFORM)
    for _ in range(SAVE_EVERY - 1):
        fed(pace, 0.0)
    file.keep(pace)
    assert not path.exists()
    fed(pace, 0.0)
    file.keep(pace)
    other = PaceFile(path, "other")
    fed(once := other.start(0.3, UNIFORM), 0.0)
    other.keep(once, now=True)

    assert set(json.loads(path.read_text())) == {"one", "other"}
    assert json.loads(path.read_text())["one"]["saved"] <= time.time() + 1
    assert PaceFile(path, "one").start(0.2, UNIFORM).held == pytest.approx(pace.held, abs=1e-3)
    for nonsense in ("{", "[]", '{"one": 3}', '{"one": {"held": []}}', "[" * 100_000):
        path.write_text(nonsense)
        assert PaceFile(path, "one").start(0.2, UNIFORM).held == 0.2


def test_a_place_that_cannot_be_written_is_no_error(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    file = PaceFile(tmp_path / "file" / "pace.json", "one")
    fed(pace := file.start(0.2, UNIFORM), 0.5)
    file.keep(pace, now=True)
