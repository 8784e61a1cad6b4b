from __future__ import annotations

import asyncio
import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egate_lsp.budget import Budget
from egate_lsp.errors import LedgerUnavailable, OverBudget
from egate_lsp.ledger import Ledger
from egate_lsp.ledger_file import Caps, LedgerFile
from egate_lsp.records import OPEN
from tests.test_ledger import DAY, NOON, Clock, request


class Straight:
    """A ledger without a thread: every call is done at once on the file."""

    def __init__(self, path: Path | None = None, clock: Clock | None = None, *, broken: bool = False) -> None:
        self.clock = clock or Clock()
        self.file = LedgerFile(path, clock=self.clock)
        self.broken = broken

    async def reserve(self, record, caps) -> str:
        await asyncio.sleep(0)
        if self.broken:
            raise LedgerUnavailable("full")
        return self.file.reserve(record, caps)

    def put(self, record) -> None:
        self.file.write([record])

    def forget(self, record) -> None:
        self.file.forget(record)

    @property
    def totals(self):
        return self.file.totals(self.clock())


def sent(cost: float | None = 0.25, moment: float = NOON, **fields):
    return request(moment, cost=cost, outcome=OPEN, **fields)


def budget(ledger: Straight, clock: Clock | None = None, **caps) -> Budget:
    return Budget(ledger, Caps(**caps), clock=clock or Clock(0.0))  # type: ignore[arg-type]


def ended(record, cost: float | None = None):
    return dataclasses.replace(record, outcome="answered", cost=record.cost if cost is None else cost)


async def test_without_caps_all_leaves_and_is_written_down() -> None:
    ledger = Straight()
    held = budget(ledger)
    record = sent()
    await held.admit(record)
    assert [each.outcome for each in ledger.file.requests()] == [OPEN]
    held.settle(ended(record))

    assert [each.outcome for each in ledger.file.requests()] == ["answered"]
    assert held.warning() == ""


async def test_the_day_s_cap_is_held_and_told_once() -> None:
    ledger = Straight()
    held = budget(ledger, per_day=1.0)
    news: list[str] = []
    held.on_news = news.append
    for _ in range(8):
        record = sent(0.125)
        await held.admit(record)
        held.settle(ended(record))
        held.look()
    for _ in range(3):
        with pytest.raises(OverBudget, match="day's cap"):
            await held.admit(sent(0.25))

    assert news == [
        "more than 80% of the day's 1.00 USD are spent",
        "the day's cap of 1.00 USD is reached; lines stay with the draft",
    ]
    assert held.warning() == news[1]
    assert ledger.file.totals(NOON).cost == 1.0


async def test_the_next_day_requests_leave_again() -> None:
    ledger = Straight()
    held = budget(ledger, per_day=0.25)
    await held.admit(sent())
    with pytest.raises(OverBudget):
        await held.admit(sent())
    ledger.clock.now = NOON + DAY
    await held.admit(sent(moment=NOON + DAY))

    assert ledger.file.totals(NOON + DAY).cost == 0.25


async def test_what_was_reserved_and_not_spent_is_free_again() -> None:
    ledger = Straight()
    held = budget(ledger, per_day=1.0)
    record = sent(1.0)
    await held.admit(record)
    held.settle(ended(record, 0.1))
    await held.admit(sent(0.9))

    assert ledger.file.totals(NOON).cost == pytest.approx(1.0)


async def test_requests_in_a_minute_by_a_clock_that_does_not_jump() -> None:
    ledger, clock = Straight(), Clock(0.0)
    held = budget(ledger, clock, requests_per_minute=2)
    for moment in (NOON, NOON - 7 * DAY):  # the date was set back
        await held.admit(sent(moment=moment))
    with pytest.raises(OverBudget, match="2 requests in a minute"):
        await held.admit(sent(moment=NOON + 7 * DAY))
    assert "2 requests in a minute" in held.warning()
    clock.now = 61.0
    await held.admit(sent(moment=NOON + 14 * DAY))

    assert held.warning() == ""


async def test_requests_under_way() -> None:
    held = budget(Straight(), in_flight=1)
    record = sent()
    await held.admit(record)
    with pytest.raises(OverBudget, match="1 requests are under way"):
        await held.admit(sent())
    held.settle(ended(record))
    await held.admit(sent())


async def test_a_model_without_a_price_is_not_asked_under_a_cap_in_money() -> None:
    held = budget(Straight(), per_month=5.0)
    with pytest.raises(OverBudget, match="no price for big") as caught:
        await held.admit(sent(None))
    await held.admit(sent(None, local=True))  # one's own machine is free

    assert caught.value.hint == 'Set [prices."big"].'


async def test_a_ledger_that_cannot_be_written_closes_the_budget_and_nothing_else() -> None:
    ledger = Straight(broken=True)
    with pytest.raises(OverBudget, match="cannot be held"):
        await budget(ledger, per_day=1.0).admit(sent())
    pace = budget(ledger, requests_per_minute=1)
    await pace.admit(sent())
    with pytest.raises(OverBudget):
        await pace.admit(sent())


async def test_a_request_that_is_cancelled_while_it_is_granted_is_not_charged(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    held = Budget(ledger, Caps(per_day=1.0, in_flight=1))
    granting = asyncio.create_task(held.admit(sent(1.0)))
    await asyncio.sleep(0)
    granting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await granting
    await held.admit(sent(1.0))
    ledger.close()
    file = LedgerFile(tmp_path / "ledger.db")

    assert file.totals(NOON).cost == 1.0
    file.close()


step = st.tuples(
    st.sampled_from(["admit", "settle", "tick", "jump", "cancel"]),
    st.integers(0, 2),
    st.floats(0.001, 0.6),
    st.floats(0.0, 1.0),
)


@given(
    steps=st.lists(step, max_size=60),
    per_day=st.none() | st.floats(0.0, 3.0),
    per_month=st.none() | st.floats(0.0, 4.0),
    per_minute=st.none() | st.integers(0, 5),
    in_flight=st.none() | st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
async def test_no_interleaving_of_three_servers_breaks_a_cap(steps, per_day, per_month, per_minute, in_flight) -> None:
    """Servers share one file; requests end in any order, cost at most what was reserved, and the date jumps."""
    wall, straight = Clock(), Clock(0.0)
    shared = Straight(None, wall)
    caps = Caps(per_day, per_month, per_minute, in_flight)
    servers = [Budget(shared, caps, clock=straight) for _ in range(3)]  # type: ignore[arg-type]
    under_way: list = []
    left: list[float] = []
    jumped = False
    for kind, who, cost, share in steps:
        if kind == "admit":
            record = sent(cost, wall.now)
            try:
                await servers[who].admit(record)
            except OverBudget:
                continue
            under_way.append((who, record))
            left.append(straight.now)
        elif kind == "cancel":
            record = sent(cost, wall.now)
            task = asyncio.create_task(servers[who].admit(record))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if not task.cancelled() and task.exception() is None:  # it needed no time
                under_way.append((who, record))
                left.append(straight.now)
        elif kind == "settle" and under_way:
            who, record = under_way.pop(int(share * (len(under_way) - 1)))
            servers[who].settle(ended(record, record.cost * share))
        elif kind == "tick":
            wall.now += cost * 100
            straight.now += cost * 100
        elif kind == "jump":
            wall.now += (share - 0.5) * 4 * DAY
            jumped = True
        by_day: dict[str, float] = {}
        for each in shared.file.requests():
            by_day[each.day] = by_day.get(each.day, 0.0) + (each.cost or 0.0)
        assert per_day is None or max(by_day.values(), default=0.0) <= per_day + 1e-9
        months = {day[:7] for day in by_day}
        for month in months:
            spent = sum(cost for day, cost in by_day.items() if day.startswith(month))
            assert per_month is None or spent <= per_month + 1e-9
        if not jumped:
            assert in_flight is None or len(under_way) <= in_flight
            assert per_minute is None or sum(moment > straight.now - 60 for moment in left) <= per_minute
    shared.file.close()


SPENDER = """
import asyncio, dataclasses, sys, random
from pathlib import Path
from egate_lsp.budget import Budget
from egate_lsp.errors import OverBudget
from egate_lsp.ledger import Ledger
from egate_lsp.ledger_file import Caps
from tests.test_ledger import NOON, request

async def main():
    ledger = Ledger(Path(sys.argv[1]))
    budget = Budget(ledger, Caps(per_day=2.0))
    granted = 0
    async def ask():
        nonlocal granted
        record = request(NOON, outcome="open", cost=0.0625)
        try:
            await budget.admit(record)
        except OverBudget:
            return
        granted += 1
        await asyncio.sleep(random.random() * 0.002)
        budget.settle(dataclasses.replace(record, outcome="answered", cost=0.0625))
    print("ready", flush=True)
    sys.stdin.readline()
    await asyncio.gather(*[ask() for _ in range(30)])
    ledger.close()
    print(granted)

asyncio.run(main())
"""


def test_servers_in_processes_of_their_own_share_one_cap(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SPENDER, str(path)],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:  # all at once
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    granted = [int(process.communicate(timeout=60)[0]) for process in running]

    assert sum(granted) == 32  # 2.00 / 0.0625
    file = LedgerFile(path)
    assert file.totals(NOON).cost == pytest.approx(2.0)
    file.close()
