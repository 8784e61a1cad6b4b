"""The gate on what a server tells against the gate on the whole vocabulary, on the same lines.

The same model file writes each line twice: in our own engine, which sees every logit, and in a real llama-server, which
tells the k likeliest probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from egate_lsp import signals
from egate_lsp.calibration import tau_at
from egate_lsp.config import Target
from egate_lsp.evaluation.outcomes import inserted
from egate_lsp.models.local_server import LocalServer
from egate_lsp.models.openai_target import OpenAITarget

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from egate_lsp.evaluation.problems import Problem
    from egate_lsp.evaluation.verdicts import Verdicts
    from egate_lsp.models import Limits
    from egate_lsp.models.catalogue import CatalogueEntry
    from egate_lsp.signals import Measure
    from egate_lsp.values import DraftLine, FimContext, Token

MOST = 40
RULES: tuple[tuple[str, Measure], ...] = (("max", "entropy"), ("mean", "entropy"), ("sum", "surprisal"))


class ServedModel:
    """A model file behind a llama-server of its own, which it ends when it is closed."""

    def __init__(self, entry: CatalogueEntry, server: LocalServer, *, top: int) -> None:
        target = Target.model_validate(
            {
                "preset": "llama-server",
                "api": "completion",
                "base_url": server.base_url,
                "model": entry.name,
                "fim_model": entry.name,
                "probabilities": top,
                "max_tokens": 256,
                "timeout_s": 600,
            }
        )
        self._server = server
        self._model = OpenAITarget(target, marks=entry.fim, order=entry.fim_order, vocabulary=entry.vocabulary)

    @classmethod
    async def start(cls, entry: CatalogueEntry, path: Path, *, top: int = MOST) -> ServedModel:
        """Start the server.

        Raises:
            TargetUnavailable: xllamacpp is missing, or the model cannot be loaded.
        """
        server = LocalServer(path)
        await server.__aenter__()
        return cls(entry, server, top=top)

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def remote(self) -> bool:
        return True

    async def generate(self, context: FimContext, limits: Limits) -> AsyncIterator[Token]:
        """Stream the middle; see `Model`."""
        stream = self._model.generate(context, limits)
        try:
            async for token in stream:
                yield token
        finally:
            await stream.aclose()

    def usage(self) -> dict[str, float]:
        return self._model.usage()

    async def aclose(self) -> None:
        await self._model.aclose()
        await self._server.aclose()


@dataclass(frozen=True, slots=True)
class Pair:
    """A line as the engine and as the server wrote it, and the target's.

    Attributes:
        own, served, target: their lines.
    """

    problem: Problem
    own: DraftLine
    served: DraftLine
    target: DraftLine


def cut_to(line: DraftLine, count: int) -> DraftLine:
    """The line as a server that tells `count` probabilities would have told it."""
    tokens = tuple(replace(token, entropy=None, top=token.top[:count]) for token in line.tokens)
    return replace(line, tokens=tokens)


def compare(
    pairs: Sequence[Pair], verdicts: Verdicts, *, counts: Sequence[int], rates: Sequence[float]
) -> dict[str, Any]:
    """For each rule, number of probabilities and rate: how often both gates decide alike, and what is right then.

    Tau is set for the rate on the engine's scores and used for both, as a calibration would be. Quality is the share of
    right lines when what each gate defers comes from the target; each gate judges its own draft.
    """
    right = {
        name: np.array([verdicts.right(pair.problem, _text(pair, name)) for pair in pairs], dtype=float)
        for name in ("own", "served", "target")
    }
    rows = []
    for how, measure in RULES:
        known = f"{measure}-{how}"
        full = np.array([signals.line_signals(pair.own.tokens).get(known, 0.0) for pair in pairs])
        for count in counts:
            top = np.array([signals.line_signals(cut_to(pair.served, count).tokens).get(known, 0.0) for pair in pairs])
            for rate in rates:
                tau = tau_at(list(full), rate)
                ours, theirs = full >= tau, top >= tau
                rows.append(
                    {
                        "rule": f"{how} {measure}",
                        "k": count,
                        "rate": rate,
                        "tau": tau,
                        "agree": float((ours == theirs).mean()),
                        "deferred_full": float(ours.mean()),
                        "deferred_top": float(theirs.mean()),
                        "right_full": float(np.where(ours, right["target"], right["own"]).mean()),
                        "right_top": float(np.where(theirs, right["target"], right["served"]).mean()),
                        "error": float(np.abs(full - top).mean()),
                    }
                )
    verdicts.save()
    return {
        "lines": len(pairs),
        "same_text": float(np.mean([_text(pair, "own") == _text(pair, "served") for pair in pairs])),
        "right": {name: float(values.mean()) for name, values in right.items()},
        "rows": rows,
    }


def _text(pair: Pair, name: str) -> str:
    return inserted([getattr(pair, name)], pair.problem.context)
