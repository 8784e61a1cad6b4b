"""What egate-lsp adds to a bare llama.cpp loop: the same model, the same tokens, side by side in one run.

Bare: a context of the same parameters, `llama_decode` and an argmax in numpy, in one process. Ours: the engine process
with entropy, margin, pipe and asyncio, as it serves. The two take turns, so that a noisy machine troubles both alike.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from egate_lsp.evaluation import PREFIX
from egate_lsp.models import Limits
from egate_lsp.models.engine_process import EngineProcess, default_threads
from egate_lsp.models.fim import QWEN, FimOrder
from egate_lsp.values import FimContext

if TYPE_CHECKING:
    from pathlib import Path

    from egate_lsp.config import Draft


@dataclass(frozen=True, slots=True)
class Overhead:
    """Times per token of `tokens` tokens in each round.

    Attributes:
        bare_ms, ours_ms: milliseconds per token, one value a round.
        same_tokens: both loops wrote the same text in every round.
    """

    tokens: int
    bare_ms: tuple[float, ...]
    ours_ms: tuple[float, ...]
    same_tokens: bool

    @property
    def ratios(self) -> list[float]:
        """Ours over bare, round by round, sorted."""
        return sorted(ours / bare for ours, bare in zip(self.ours_ms, self.bare_ms, strict=True))

    @property
    def median(self) -> float:
        """The middle ratio."""
        return statistics.median(self.ratios)


async def measure(path: Path, draft: Draft, *, tokens: int = 64, rounds: int = 15) -> Overhead:
    """Run both loops in turn. The order within a round alternates."""
    threads = draft.threads or default_threads()
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    bare_process = subprocess.Popen(  # noqa: ASYNC220  # nothing else runs in this loop
        [sys.executable, "-m", "egate_lsp.evaluation.bare_loop", str(path), str(threads), str(draft.context_tokens)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    )
    # Each round asks for the same text, of which nothing may be known from the round before.
    alone = draft.model_copy(update={"threads": threads, "reuse": False})
    ours = EngineProcess("ours", path, alone, marks=QWEN, order=FimOrder.PREFIX_ONLY)
    bare_ms: list[float] = []
    ours_ms: list[float] = []
    same = True
    try:
        for number in range(rounds + 1):
            texts: dict[str, str] = {}
            for which in ("bare", "ours") if number % 2 else ("ours", "bare"):
                if which == "bare":
                    elapsed, texts["bare"] = _bare_round(bare_process, tokens)
                else:
                    elapsed, texts["ours"] = await _our_round(ours, tokens)
                if number:  # the first round warms both
                    (bare_ms if which == "bare" else ours_ms).append(elapsed * 1000.0 / tokens)
            same = same and texts["bare"] == texts["ours"]
    finally:
        await ours.aclose()
        bare_process.kill()
        bare_process.communicate()
    return Overhead(tokens, tuple(bare_ms), tuple(ours_ms), same)


def _bare_round(process: subprocess.Popen[str], tokens: int) -> tuple[float, str]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{tokens}\n")
    process.stdin.flush()
    answer = json.loads(process.stdout.readline())
    return answer["seconds"], answer["text"]


async def _our_round(engine: EngineProcess, tokens: int) -> tuple[float, str]:
    """From the first token to the last, as the consumer sees them."""
    pieces: list[bytes] = []
    started = 0.0
    async for token in engine.generate(FimContext(PREFIX, ""), Limits(tokens + 1, 10_000)):
        if not pieces:
            started = time.perf_counter()
        pieces.append(token.piece)
    return time.perf_counter() - started, b"".join(pieces[: tokens + 1]).decode("utf-8", "replace")
