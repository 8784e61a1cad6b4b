"""Whole-cascade stories, one file each in tests/golden. `pytest --update-golden` rewrites what they expect.

Sections: `document` (║ is the cursor, the language follows the word), `draft` and `target` (rules: `after TEXT`, then
one token a line as `nats|text` with \\n for a line break), `tau`, `completion` (D draft, T target, then the text).
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from egate_lsp.cascade import Cascade, Policy
from egate_lsp.escalate import Tier
from egate_lsp.gate import Rule as GateRule
from egate_lsp.models.scripted import Rule, ScriptedModel
from egate_lsp.values import Completion
from tests.conftest import drawn

STORIES = sorted((Path(__file__).parent / "golden").glob("*.txt"))
TRIGGERS = ("signature", "nested-brackets", "multiline-string", "template-literal")


def sections(story: str) -> dict[str, str]:
    parts = re.split(r"^-- (\w+)(?: \w+)? --\n", story, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rules(section: str) -> list[Rule]:
    found: list[tuple[str, list[tuple[str, float]]]] = [("", [])]
    for line in section.splitlines():
        if line.startswith("after "):
            found.append((line.removeprefix("after ").replace("\\n", "\n"), []))
        elif line:
            nats, _, text = line.partition("|")
            found[-1][1].append((text.replace("\\n", "\n"), float(nats)))
    # The longest `after` that fits answers.
    return [Rule(after, tuple(tokens)) for after, tokens in sorted(found, key=lambda rule: -len(rule[0])) if tokens]


def told(completion: Completion) -> str:
    lines = [f"{line.source.value[0].upper()} {line.text}".rstrip() for line in completion.lines]
    requests = [f"# asked for line {request.line}: {request.outcome}" for request in completion.requests]
    return "\n".join([*lines, *requests, ""])


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_story(path: Path, request: pytest.FixtureRequest) -> None:
    story = path.read_text(encoding="utf-8")
    parts = sections(story)
    match = re.search(r"^-- document (\w+) --$", story, flags=re.M)
    context = drawn(parts["document"].removesuffix("\n"), match[1] if match else "python")
    tiers = [Tier(ScriptedModel(rules(parts["draft"]), name="draft"), GateRule("max", float(parts.get("tau", "inf"))))]
    if "target" in parts:
        tiers.append(Tier(ScriptedModel(rules(parts["target"]), name="target", remote=True)))
    cascade = Cascade(tiers, Policy(deadline_s=30.0, triggers=TRIGGERS if "triggers" in parts else ()))

    result = told(asyncio.run(cascade.complete(context)))

    if request.config.getoption("--update-golden"):
        head, _, _ = story.partition("-- completion --\n")
        path.write_text(f"{head}-- completion --\n{result}", encoding="utf-8")
    else:
        assert result == parts["completion"]


def test_there_are_stories() -> None:
    assert len(STORIES) >= 8
