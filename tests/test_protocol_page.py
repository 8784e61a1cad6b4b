"""docs/protocol.md names what there is, by its own names."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from egate_lsp.controls import Controls
from egate_lsp.server import EgateServer
from egate_lsp.status import Status, Usage, as_json

PAGE = (Path(__file__).parent.parent / "docs" / "protocol.md").read_text(encoding="utf-8")
QUOTED = set(re.findall(r"`([^`\n]+)`", PAGE))


async def test_every_method_and_command_is_described() -> None:
    server = EgateServer()
    controls: Controls = server._controls
    names = {*controls.requests, *controls.commands, *server._copilot.features, *server._copilot.commands}
    names -= {"textDocument/didShowInlineEdit"}  # follows copilotInlineEdit, which has no edits to show
    described = {word.split(" ")[0] for word in QUOTED}

    assert names - described == set()


async def test_every_key_of_status_and_usage_is_described() -> None:
    keys = {*EgateServer()._controls.status(), *as_json(Status("ready")), *as_json(Usage("2026-11-25"))}

    assert len(keys) > len(fields(Usage))
    assert keys - QUOTED == set()
