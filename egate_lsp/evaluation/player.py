"""Drives one tool through the writing of one file, in real time: keys come with their gaps whether the tool is ready or
not, and a reply that is not there at the next key is overtaken.

Where the typist stops to look, they wait for the reply until their patience ends, and then type on. What comes later
than `latency_figures.IN_TIME_MS` is told apart: a delay of more than a second breaks the flow of thought already.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from egate_lsp.evaluation.latency_figures import Key, Work
from egate_lsp.evaluation.typing_script import GAP_MS, Typist, look_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from egate_lsp.evaluation.tools import Answer, Tool
    from egate_lsp.evaluation.typing_script import Region, Step

# Ten seconds are about as long as users keep their attention on a reply that they wait for (R. B. Miller: Response time
# in man-computer conversational transactions, AFIPS 1968; J. Nielsen: Usability Engineering, 1993, chapter 5).
PATIENCE_S = 10.0
READING_MS = 300.0  # from a text on the screen to the key that follows
DETAILS_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Habits:
    """How the typist works.

    Attributes:
        seed: of all chance.
        gap_ms: mean time between the keys of a burst.
        patience_s: how long a reply is waited for where the typist stops to look.
    """

    seed: int
    gap_ms: float = GAP_MS
    patience_s: float = PATIENCE_S


@dataclass(frozen=True, slots=True)
class Task:
    """A file to write.

    Attributes:
        text: the whole file, line breaks LF.
        regions: what is taken out of it, in the order in which it is written again.
    """

    name: str
    language: str
    text: str
    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True)
class Played:
    """One file with one tool: each key, and what was computed for it."""

    task: Task
    keys: tuple[Key, ...]
    work: Work


@dataclass(slots=True)
class _Pressed:
    step: Step
    answer: Answer
    until: float = 0.0
    waited_ms: float = 0.0


async def play(
    tool: Tool, task: Task, habits: Habits, progress: Callable[[int, int], None] = lambda _d, _t: None
) -> Played:
    """Write the file with the tool.

    Raises:
        AssertionError: the document is not the file at the end, so what was measured is worth nothing.
    """
    before = await tool.work()
    typist = Typist(task.text, task.regions, seed=habits.seed, gap_ms=habits.gap_ms)
    total = typist.left
    await tool.open(task.name, task.language, typist.text)
    pressed: list[_Pressed] = []
    due = time.perf_counter()
    looks = 0
    while True:
        last = pressed[-1] if pressed else None
        shown = last.answer.insert if last is not None and last.answer.at is not None else ""
        if typist.will_jump:
            tool.leave()
        step = typist.next(shown)
        if step is None:
            break
        due += step.gap_ms / 1000.0
        await asyncio.sleep(max(due - time.perf_counter(), 0.0))
        if last is not None:
            last.until = time.perf_counter()
        answer = tool.press(step, typist.text)
        due = max(due, answer.asked_at)
        this = _Pressed(step, answer)
        if step.kind == "accept" and last is not None:
            this.waited_ms = last.answer.text_ms or 0.0
        pressed.append(this)
        if step.looks:
            looks += 1
            due += await _look(answer, look_ms(habits.seed, looks, habits.gap_ms) / 1000.0, habits.patience_s)
        progress(total - typist.left, total)
    if pressed:
        await _look(pressed[-1].answer, 0.0, habits.patience_s)
        pressed[-1].until = time.perf_counter()
    assert typist.text == task.text, f"{task.name} was not written as it was"
    await tool.close()
    await tool.settle()
    keys = [await _key(each, first=index == 0) for index, each in enumerate(pressed)]
    return Played(task, tuple(keys), _since(before, await tool.work()))


async def _look(answer: Answer, least_s: float, patience_s: float) -> float:
    """Wait for the reply; the seconds from the key to the end of the pause, the next key's own gap not counted."""
    try:
        async with asyncio.timeout(patience_s):
            await answer.arrived.wait()
    except TimeoutError:
        return time.perf_counter() - answer.asked_at
    return max(least_s, (answer.ms + READING_MS) / 1000.0)


async def _key(pressed: _Pressed, *, first: bool) -> Key:
    step, answer = pressed.step, pressed.answer
    answered = answer.at is not None and answer.at <= pressed.until
    if answered:
        async with asyncio.timeout(DETAILS_PATIENCE_S):
            await answer.known.wait()
    return Key(
        "cold" if first else "jump" if step.kind == "jump" else "typed",
        answer.ms if answered else (pressed.until - answer.asked_at) * 1000.0,
        answered,
        asked=answer.asked,
        reused=answer.reused,
        shown=len(answer.text) if answered else 0,
        text_ms=answer.text_ms if answered and answer.text else None,
        evaluated=answer.evaluated,
        decoded=answer.decoded,
        head_start_ms=answer.head_start_ms,
        typed=len(step.inserted) if step.kind == "key" else 0,
        accepted=len(step.inserted) if step.kind == "accept" else 0,
        saved=step.saved,
        waited_ms=pressed.waited_ms,
    )


def _since(before: Work, after: Work) -> Work:
    """What was computed between the two; the memory is the peak so far."""

    def gap(one: float | None, other: float | None) -> float | None:
        return None if one is None or other is None else other - one

    return Work(
        prompt_tokens=after.prompt_tokens - before.prompt_tokens,
        decoded_tokens=after.decoded_tokens - before.decoded_tokens,
        shown_tokens=after.shown_tokens - before.shown_tokens,
        cpu_s=gap(before.cpu_s, after.cpu_s),
        peak_rss_mb=after.peak_rss_mb,
        target_requests=after.target_requests - before.target_requests,
        target_tokens=after.target_tokens - before.target_tokens,
        target_wasted=after.target_wasted - before.target_wasted,
    )


def tasks(files: Sequence[tuple[str, str, str]], regions: Callable[[str, str], Sequence[Region]]) -> list[Task]:
    """Of `(name, language, text)`, those in which something can be written."""
    found = [Task(name, language, text, tuple(regions(text, language))) for name, language, text in files]
    return [task for task in found if task.regions]
