"""What `bench index` measures, on a small folder: the real index, and a loop that is held up on purpose."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from egate_lsp.evaluation.index_load import measure
from egate_lsp.evaluation.loop_holds import Holds, idle_loop

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_small_folder(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"part_{number}.py").write_text(
            f"def load_part_{number}(path):\n    return open(path).read()\n\n\nvalue = load_part_{number}('x')\n"
        )
    found = await measure(tmp_path, 4, 7)
    assert found.files == 6
    assert len(found.answer_ms) == len(found.saved_ms) == 4
    assert found.peak_mb > 5
    assert found.holds.callback_ms > 0
    assert found.holds.callback != "none"
    assert found.idle_ms > 0


async def test_the_callback_that_holds_the_loop_is_named() -> None:
    async def slow() -> None:
        await asyncio.sleep(0)  # the rest is a step of its own
        _busy(0.05)

    holds = Holds()
    ticking = asyncio.create_task(holds.tick())
    await asyncio.sleep(0)
    with holds.timed_callbacks():
        asyncio.get_running_loop().call_soon(_busy, 0.02)
        await asyncio.sleep(0.005)
        assert holds.callback == "_busy"
        await asyncio.create_task(slow(), name="the slow one")
        await asyncio.sleep(0.005)
    ticking.cancel()
    assert holds.callback_ms >= 50
    assert holds.tick_ms >= 50
    run = asyncio.Handle._run
    asyncio.get_running_loop().call_soon(_busy, 0.1)
    await asyncio.sleep(0.005)
    assert asyncio.Handle._run is run
    assert holds.callback_ms < 100  # nothing is timed any more


async def test_a_loop_that_does_nothing() -> None:
    async with idle_loop() as idle:
        pass
    assert idle.tick_ms > 0


def _busy(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass
