"""A file written with a tool: what is taken of its texts, and when the typist no longer waits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from egate_lsp.evaluation.latency_figures import Work
from egate_lsp.evaluation.player import Habits, Played, Task, play
from egate_lsp.evaluation.tools import Answer
from egate_lsp.evaluation.typing_script import Region

if TYPE_CHECKING:
    from egate_lsp.evaluation.typing_script import Step

TEXT = "def total(first):\n    return first\n"
REGION = Region(TEXT.index("return"), len(TEXT) - 1)


class Telling:
    """A tool that shows the rest of the file, `after_s` after each key; None: never."""

    name = "telling"

    def __init__(self, after_s: float | None) -> None:
        self._after_s = after_s

    async def open(self, name: str, language: str, text: str) -> None:
        pass

    def press(self, step: Step, document: str) -> Answer:
        answer = Answer()
        rest = TEXT[step.cursor : REGION.end]
        answer.known.set()
        if self._after_s is not None:
            asyncio.get_running_loop().call_later(self._after_s, answer.arrive, rest)
        return answer

    def leave(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def settle(self) -> None:
        pass

    async def work(self) -> Work:
        return Work()


async def written(after_s: float | None, patience_s: float) -> Played:
    task = Task("sample.py", "python", TEXT, (REGION,))
    return await play(Telling(after_s), task, Habits(seed=3, gap_ms=1.0, patience_s=patience_s))


async def test_a_text_that_is_waited_for_is_accepted() -> None:
    played = await written(0.01, 5.0)

    assert sum(key.accepted for key in played.keys) == len("return first")
    assert sum(key.saved for key in played.keys) == len("return first") - 1
    assert all(key.answered for key in played.keys)


async def test_whoever_lost_patience_types_on() -> None:
    played = await written(None, 0.02)

    assert sum(key.typed for key in played.keys) == len("return first")
    assert not any(key.answered for key in played.keys)
    assert played.keys[0].ms >= 20.0  # waited so long, and no reply


async def test_a_text_that_comes_after_the_patience_saves_nothing() -> None:
    played = await written(30.0, 0.02)

    assert sum(key.accepted for key in played.keys) == 0
