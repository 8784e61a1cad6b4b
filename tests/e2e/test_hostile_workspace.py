"""The real server, started in a hostile workspace; what reaches two listening sockets is counted."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.e2e.wire import NEOVIM, script, server
from tests.test_hostile_workspace import MARK, PATIENT, listening

ELSEWHERE = """
[target]
base_url = "{url}"
api_key = "stolen"
[policy]
target = "auto"
[privacy]
never_send = []
outside_workspace = "send"
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "ws"
    folder.mkdir()
    return folder


def settings(tmp_path: Path, url: str, **tables):
    draft = script(tmp_path, ("", [("draft", 5.0), ("\n", 0.1)]))
    return {**draft, "target": {"base_url": url, "api": "suffix"}, "gate": {"tau": 0.0}, **PATIENT, **tables}


async def test_a_workspace_names_no_endpoint_and_frees_no_file(tmp_path: Path, workspace: Path) -> None:
    async with listening() as chosen, listening() as elsewhere:
        text = ELSEWHERE.format(url=elsewhere.base_url)
        for name in (
            "config.toml",
            "egate.toml",
            ".egate-lsp.toml",
            "egate-lsp/config.toml",
            ".config/egate-lsp/config.toml",
        ):
            (workspace / name).parent.mkdir(parents=True, exist_ok=True)
            (workspace / name).write_text(text)
        (workspace / "pyproject.toml").write_text(f'[tool.egate-lsp.target]\nbase_url = "{elsewhere.base_url}"\n')
        (workspace / ".env").write_text(
            f"OPENAI_BASE_URL={elsewhere.base_url}\nEGATE_LSP_CONFIG={workspace}/config.toml\n"
            f"HTTP_PROXY={elsewhere.base_url}\n"
        )
        for name in (".vscode", ".helix", ".nvim"):
            (workspace / name).mkdir()
            (workspace / name / "settings.json").write_text(
                json.dumps({"egate": {"target": {"baseUrl": elsewhere.base_url}}, "egate.target.baseUrl": "x"})
            )
        for name in ("json.py", "openai.py", "egate_lsp.py", "sitecustomize.py"):
            (workspace / name).write_text("raise SystemExit('the workspace was run')\n")
        outside = tmp_path / "outside.py"
        outside.write_text("")
        (workspace / "link.py").symlink_to(outside)
        uris = [(workspace / ".env").as_uri(), f"file://{workspace}/link.py", outside.as_uri()]
        async with server(tmp_path, cwd=workspace) as wire:
            await wire.initialize(NEOVIM, settings(tmp_path, chosen.base_url), root=workspace)
            for number, uri in enumerate(uris):
                wire.open(f"{MARK}_{number} = ", uri=uri)
                (item,) = await wire.inline(0, len(MARK) + 5, uri=uri)
                assert item["insertText"] == "draft", uri
            assert (chosen.connections, elsewhere.connections) == (0, 0)

            uri = (workspace / "a.py").as_uri()
            wire.open(f"{MARK}_open = ", uri=uri)
            (item,) = await wire.inline(0, len(MARK) + 8, uri=uri)
            assert item["insertText"] == "sure"

    assert f"{MARK}_open".encode() in chosen.received
    assert not any(f"{MARK}_{number}".encode() in chosen.received for number in range(len(uris)))
    assert b"stolen" not in chosen.received
    assert (elsewhere.connections, elsewhere.received) == (0, b"")


@pytest.mark.parametrize(
    ("title", "then"),
    [("Allow for this session", "sure"), ("Always for this folder", "sure"), ("Never", "draft"), (None, "draft")],
)
async def test_the_user_is_asked_once_before_anything_leaves(
    tmp_path: Path, workspace: Path, title: str | None, then: str
) -> None:
    uri = (workspace / "a.py").as_uri()
    async with listening() as chosen:
        options = settings(tmp_path, chosen.base_url, policy={"target": "ask"})
        async with server(tmp_path) as wire:
            wire.answers["window/showMessageRequest"] = None if title is None else {"title": title}
            await wire.initialize(NEOVIM, options, root=workspace)
            wire.open(f"{MARK} = ", uri=uri)
            (item,) = await wire.inline(0, len(MARK) + 3, uri=uri)
            assert (item["insertText"], chosen.connections) == ("draft", 0)
            await wire.until(lambda: any(m["method"] == "window/showMessageRequest" for m in wire.requests))
            # The answer was sent before this request is.
            (item,) = await wire.inline(0, len(MARK) + 3, uri=uri)
            assert item["insertText"] == then
            questions = [m["params"] for m in wire.requests if m["method"] == "window/showMessageRequest"]

    assert len(questions) == 1
    assert str(os.path.realpath(workspace)) in questions[0]["message"]
    assert chosen.base_url in questions[0]["message"]
    state = Path(os.environ["XDG_STATE_HOME"]) / "egate-lsp" / "consents.json"
    assert state.exists() == (title in {"Always for this folder", "Never"})
    assert {path.name for path in workspace.iterdir()} == set()


async def test_a_folder_that_leaves_the_workspace_is_outside(tmp_path: Path, workspace: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    uri = (other / "a.py").as_uri()
    async with listening() as chosen, server(tmp_path) as wire:
        await wire.initialize(NEOVIM, settings(tmp_path, chosen.base_url), root=workspace)
        wire.open(f"{MARK} = ", uri=uri)
        (item,) = await wire.inline(0, len(MARK) + 3, uri=uri)
        assert (item["insertText"], chosen.connections) == ("draft", 0)

        folder = {"uri": other.as_uri(), "name": "other"}
        change = {"added": [folder], "removed": []}
        wire.notify("workspace/didChangeWorkspaceFolders", {"event": change})
        (item,) = await wire.inline(0, len(MARK) + 3, uri=uri)
        assert item["insertText"] == "sure"
        sent = len(chosen.received)

        wire.notify("workspace/didChangeWorkspaceFolders", {"event": {"added": [], "removed": [folder]}})
        (item,) = await wire.inline(0, len(MARK) + 3, uri=uri)
        assert len(chosen.received) == sent
