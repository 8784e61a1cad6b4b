"""A completion's history as plain data: what `--json`, `egate/explain` and "why this suggestion" show. Pure."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from egate_lsp.values import Completion, CompletionLine, Token


def as_json(completion: Completion) -> dict[str, Any]:
    """`text`, `lines`, `requests`, `timing_ms`, `pending`, `note`, `stats`, `window`; JSON types, no NaN or inf."""
    return {
        "text": completion.text,
        "lines": [_line(line) for line in completion.lines],
        "requests": [asdict(request) for request in completion.requests],
        "timing_ms": {stage: round(value, 3) for stage, value in completion.timing_ms.items()},
        "pending": completion.pending,
        "note": completion.note,
        "stats": completion.stats,
        "window": [asdict(part) for part in completion.window],
    }


def _line(line: CompletionLine) -> dict[str, Any]:
    return {
        "text": line.text,
        "source": line.source.value,
        "score": None if line.score is None else round(line.score, 6),
        "reasons": list(line.reasons),
        "tier": line.tier,
        "draft": line.draft,
        "verdict": None if line.verdict is None else line.verdict.value,
        "signals": {name: _rounded(value) for name, value in line.signals.items()},
        "tokens": [_token(token) for token in line.tokens],
    }


def _token(token: Token) -> dict[str, Any]:
    normalised = None
    if token.entropy is not None and token.vocabulary > 1:
        normalised = round(token.entropy / math.log(token.vocabulary), 6)
    return {
        "text": token.piece.decode("utf-8", "replace"),
        "entropy": _rounded(token.entropy),
        "normalised_entropy": normalised,
        "logprob": _rounded(token.logprob),
        "margin": _rounded(token.margin),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 6)
