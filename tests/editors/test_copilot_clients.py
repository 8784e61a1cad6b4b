"""Plug-ins written for GitHub Copilot's language server: what each says, replayed against the real server process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.wire import server
from tests.editors.replay import FOLDER, read, replay

NAMES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))


def configured(tmp_path: Path, monkeypatch, header: dict) -> None:
    """The user's file names a scripted draft: these plug-ins send no settings of ours."""
    rules = [
        {"after": after, "tokens": tokens, "delay_s": header.get("delay_s", 0.0)} for after, tokens in header["draft"]
    ]
    (tmp_path / "script.json").write_text(json.dumps(rules), encoding="utf-8")
    config = tmp_path / "config.toml"
    config.write_text(f'[draft]\nmodel = "scripted:{tmp_path / "script.json"}"\n', encoding="utf-8")
    monkeypatch.setenv("EGATE_LSP_CONFIG", str(config))


@pytest.mark.parametrize("name", NAMES)
async def test_a_recorded_session(tmp_path: Path, monkeypatch, name: str) -> None:
    header, steps = read(name)
    configured(tmp_path, monkeypatch, header)
    async with server(tmp_path, "--stdio", shut_down=False) as wire:
        await replay(wire, steps)
        assert await wire.process.wait() == 0

        assert wire.messages() == []  # nothing that the plug-in sent was worth a pop-up


@pytest.mark.parametrize("name", NAMES)
def test_a_sequence_says_where_it_was_read(name: str) -> None:
    header, steps = read(name)

    assert header["about"]
    assert header["source"]
    asked = {step["send"]["id"] for step in steps if "id" in step.get("send", {})}
    assert asked == {step["reply"] for step in steps if "reply" in step}, "each request's reply is checked"
