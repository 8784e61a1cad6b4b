"""docs/deployment.md as it says: a draft and a target, each behind a real llama-server, and nothing in this process."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from egate_lsp.config import resolve
from egate_lsp.models.local_server import LocalServer
from egate_lsp.service import Service, Snapshot
from egate_lsp.values import Source
from tests.conftest import model_file

pytestmark = pytest.mark.live
DRAFT, TARGET = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
DOCUMENT = Path(__file__).parents[2] / "docs" / "deployment.md"
CODE = "def add(a, b):\n    return a + b\n\n\ndef multiply(a, b):\n    return \n\n\nprint(multiply(2, 3))\n"


def documented(draft_url: str, target_url: str, **tables):
    """The first configuration of the document, with these addresses."""
    text = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.S)[0]
    table = tomllib.loads(text)
    for tier, url in zip(table["tiers"], (draft_url, target_url), strict=True):
        tier["base_url"] = url
        tier["timeout_s"] = 300
    settings, problems = resolve([("document", {**table, "cascade": {"invoked_deadline_ms": 300_000}, **tables})])
    assert problems == []
    return settings


async def complete(settings):
    service = Service(settings)
    try:
        at = CODE.index("return \n\n\nprint") + len("return ")
        return await service.complete(Snapshot(CODE, at, "/p/main.py", "python"), invoked=True)
    finally:
        await service.aclose()


async def test_draft_and_target_behind_two_servers() -> None:
    async with (
        LocalServer(model_file(DRAFT), context_tokens=2048) as draft,
        LocalServer(model_file(TARGET), context_tokens=2048) as target,
    ):
        settings = documented(draft.base_url, target.base_url)

        def with_tau(tau: float):
            first = settings.tiers[0].model_copy(update={"tau": tau, "deferral_rate": None})
            return settings.model_copy(update={"tiers": (first, settings.tiers[1])})

        kept = await complete(with_tau(1.0))
        assert (kept.text, kept.requests) == ("a * b", ())
        assert kept.lines[0].score is not None  # by the probabilities that the server told
        # Of the ten, those that spell the space before the cursor.
        assert 1 < len(kept.lines[0].tokens[0].top) <= 10

        deferred = await complete(with_tau(0.0))
        assert deferred.text == "a * b"
        assert deferred.lines[0].source is Source.TARGET
        assert [request.outcome for request in deferred.requests] == ["answered"]
