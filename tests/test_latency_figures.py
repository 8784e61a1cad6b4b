"""What a replay's keys add up to."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.evaluation import latency_bench
from egate_lsp.evaluation.latency_figures import Key, Speed, Work, censored_quantile, figures, quantile, ratios
from egate_lsp.evaluation.player import Habits

TIMES = st.lists(st.floats(0.1, 1e5), min_size=1, max_size=40)
SPEED = Speed(((1, 20.0), (2, 30.0), (4, 40.0), (100, 500.0)))


def typed(ms: float, **more: object) -> Key:
    return Key("typed", ms, **{"answered": True, **more})  # type: ignore[arg-type]


@given(TIMES, st.floats(0.01, 1.0))
def test_a_quantile_is_the_least_value_that_so_many_do_not_exceed(values: list[float], share: float) -> None:
    found = quantile(values, share)

    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values)


@given(TIMES, st.sampled_from([0.25, 0.5, 0.75, 1.0]))
def test_without_overtaken_requests_both_estimates_agree(values: list[float], share: float) -> None:
    estimate, plain = censored_quantile(values, [], share), quantile(values, share)

    assert estimate is not None
    # Rounding may take the next value where the share falls on a step.
    ordered = sorted(values)
    assert abs(ordered.index(estimate) - ordered.index(plain)) <= 1 or estimate == plain


@given(TIMES, st.lists(st.floats(0.1, 1e5), max_size=40), st.floats(0.05, 0.95))
def test_overtaken_requests_never_make_the_estimate_faster(
    answered: list[float], overtaken: list[float], share: float
) -> None:
    plain = quantile(answered, share)
    estimate = censored_quantile(answered, overtaken, share)

    assert estimate is None or estimate >= min(answered)
    if all(ms >= max(answered) for ms in overtaken):
        assert estimate is None or estimate >= plain


def test_the_estimate_by_hand() -> None:
    # 1 of 4 answered at 1; one is overtaken at 2; of the two left one is answered at 3: 0.75 * 0.5 are still waiting.
    assert censored_quantile([1.0, 3.0, 4.0], [2.0], 0.5) == 3.0
    assert censored_quantile([1.0, 3.0, 4.0], [2.0], 0.25) == 1.0
    assert censored_quantile([1.0], [2.0, 2.0], 0.5) is None
    assert quantile([], 0.5) is None


@given(st.floats(0, 1000), st.floats(0, 1000))
def test_more_tokens_take_longer(one: float, other: float) -> None:
    assert one > other or SPEED.evaluating(one) <= SPEED.evaluating(other)


def test_the_floor_of_a_reply() -> None:
    assert SPEED.evaluating(0) == 0
    assert SPEED.evaluating(1) == 20.0
    assert SPEED.evaluating(3) == 35.0
    assert SPEED.evaluating(200) == 1000.0
    assert SPEED.floor(typed(100.0, evaluated=2.0, decoded=5.0)) == 30.0 + 5 * 20.0


def test_kinds() -> None:
    assert Key("cold", 1.0, answered=True, reused=True).kind == "cold"
    assert Key("jump", 1.0, answered=False).kind == "jump"
    assert typed(1.0, reused=True).kind == "type-through"
    assert typed(1.0).kind == "fresh"
    assert typed(1.0, answered=False).kind == "fresh"


def test_the_figures_of_a_replay() -> None:
    keys = [
        Key("cold", 900.0, answered=True, shown=9, evaluated=500.0, decoded=4.0),
        typed(5.0, reused=True, shown=8, typed=1),
        typed(170.0, shown=12, typed=1, evaluated=2.0, decoded=7.0),
        typed(200.0, answered=False, typed=1),
        typed(0.0, answered=True, asked=False, typed=1),
        typed(340.0, shown=3, accepted=12, saved=11, waited_ms=170.0, evaluated=1.0, decoded=8.0),
        typed(400.0, accepted=20, saved=18, waited_ms=2500.0),
    ]
    work = Work(1000.0, 60.0, 40.0, 9.5, 700.0, target_requests=2.0, target_tokens=300.0)
    found = figures(keys, work, SPEED)

    assert (found["cold_ms"], found["fresh_p50_ms"], found["fresh_p95_ms"]) == (900.0, 340.0, 400.0)
    assert (found["p50_ms"], found["p95_ms"]) == (340.0, 900.0)
    assert (found["chars_saved"], found["chars_saved_in_time"], found["chars_written"]) == (29, 11, 36)
    assert (found["keys"], found["unasked"], found["kinds"]["fresh"]["superseded"]) == (7, 1, 1)
    assert found["share_with_text"] == 4 / 7
    assert found["decoded_never_shown"] == 20.0
    assert found["target_requests_per_1000_chars"] == pytest.approx(2 / 0.036)
    assert found["floor_ratio"] == pytest.approx((170 / 170 + 340 / 180) / 2)
    assert figures([], Work())["p50_ms"] is None


def test_a_draft_that_was_under_way_is_timed_from_its_own_beginning() -> None:
    keys = [typed(100.0, evaluated=1.0, decoded=8.0, head_start_ms=260.0)]
    found = figures(keys, Work(), SPEED)

    assert found["fresh_p50_ms"] == 100.0
    assert found["floor_ratio"] == pytest.approx(360 / 180)
    assert found["floor_joined"] == 1


def test_a_tool_whose_slow_replies_are_overtaken_is_not_quick() -> None:
    """One in ten is answered, from memory; of the others nobody knows but that they took longer than they had."""
    keys = [typed(1.0, reused=True, shown=3), *(typed(200.0 + number, answered=False) for number in range(9))]
    found = figures(keys, Work())

    assert found["all"]["p50_ms"] == 1.0
    assert (found["p50_ms"], found["p95_ms"], found["fresh_p50_ms"]) == (208.0, 208.0, 208.0)


def test_ratios_and_sums() -> None:
    ours = figures([typed(10.0)], Work(cpu_s=5.0))
    peer = figures([typed(100.0)], Work(cpu_s=None))

    assert ratios(ours, peer)["p50_ms"] == pytest.approx(0.1)
    assert ratios(ours, peer)["cpu_s"] is None
    assert ratios(ours, peer)["cold_ms"] is None
    total = Work(1.0, 2.0, 1.0, 3.0, 50.0).plus(Work(1.0, 1.0, 0.0, None, 70.0))
    assert (total.prompt_tokens, total.decoded_tokens, total.cpu_s, total.peak_rss_mb) == (2.0, 3.0, None, 70.0)
    assert all(not (isinstance(value, float) and math.isnan(value)) for value in ours.values())


def test_a_first_text_that_was_not_waited_for_counts_as_at_least_so_long() -> None:
    found = figures([Key("cold", 10_000.0, answered=False)], Work(), SPEED)

    assert found["cold_ms"] == 10_000.0


async def test_the_bare_engine_can_be_timed_after_each_file(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str]] = []

    async def play(tool: Any, task: Any, *_: Any) -> Any:
        seen.append((tool.name, task.name))
        return task

    async def timed() -> None:
        seen.append(("bare", "engine"))

    monkeypatch.setattr(latency_bench, "play", play)
    tools: Any = [SimpleNamespace(name=name) for name in ("egate", "peer")]
    tasks: Any = [SimpleNamespace(name=name, regions=()) for name in ("a.py", "b.c")]
    await latency_bench.run(tools, tasks, latency_bench.Replay(), Habits(1), progress=lambda *_: None, after_file=timed)

    bare = ("bare", "engine")
    assert seen == [("egate", "a.py"), ("peer", "a.py"), bare, ("peer", "b.c"), ("egate", "b.c"), bare]
