"""What a completion tool is to a replay: it is told of keys and answers with what it would show."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from egate_lsp.evaluation.latency_figures import Work
    from egate_lsp.evaluation.typing_script import Step


@dataclass(slots=True, eq=False)
class Answer:
    """A tool's reply to one step of the typist.

    Attributes:
        asked_at, at: when the step was told and when the reply came, `time.perf_counter`; `at` is None before.
        text_at: when a text came on the screen, with the reply or after it; None before.
        text: what is on the screen; "" for nothing.
        insert: what accepting it puts at the cursor; "" if it does something else too.
        asked: False: the tool does not complete at such a place.
        reused, evaluated, decoded, head_start_ms: see `latency_figures.Key`; they may come after the reply, `known`
            tells when.
    """

    asked_at: float = field(default_factory=time.perf_counter)
    at: float | None = None
    text_at: float | None = None
    text: str = ""
    insert: str = ""
    asked: bool = True
    reused: bool = False
    evaluated: float = 0.0
    decoded: float = 0.0
    head_start_ms: float = 0.0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    known: asyncio.Event = field(default_factory=asyncio.Event)

    def arrive(self, text: str = "", insert: str | None = None) -> None:
        """The reply is there."""
        self.at = time.perf_counter()
        self.show(text, insert)
        self.arrived.set()

    def show(self, text: str, insert: str | None = None) -> None:
        """This is on the screen now; see `text` and `insert`, which is the same if it is None."""
        self.text, self.insert = text, text if insert is None else insert
        if text and self.text_at is None:
            self.text_at = time.perf_counter()

    @property
    def ms(self) -> float:
        """From the step to the reply.

        Raises:
            ValueError: there is none.
        """
        if self.at is None:
            raise ValueError("not answered")
        return (self.at - self.asked_at) * 1000.0

    @property
    def text_ms(self) -> float | None:
        """From the step to the text; None if there was none."""
        return None if self.text_at is None else (self.text_at - self.asked_at) * 1000.0


class Tool(Protocol):
    """A tool under measurement. One document is open at a time; one step at a time is awaited."""

    name: str

    async def open(self, name: str, language: str, text: str) -> None:
        """The user opens a document."""
        ...

    def press(self, step: Step, document: str) -> Answer:
        """The typist did this; `document` is the text after it. An earlier request that is not answered yet is
        overtaken: what an editor does then is the tool's to know."""
        ...

    def leave(self) -> None:
        """The user stops typing at this place and is about to go elsewhere."""
        ...

    async def close(self) -> None:
        """The user writes the document and closes it."""
        ...

    async def settle(self) -> None:
        """Wait until the tool does nothing any more."""
        ...

    async def work(self) -> Work:
        """What it computed since it was started."""
        ...
