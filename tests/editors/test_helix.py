"""Helix: its configuration file, and the real server under a client that behaves as Helix does."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from egate_lsp.config import resolve
from tests.conftest import model_file
from tests.e2e.wire import script
from tests.editors.helix import CLIENT, INCOMPLETE, Helix, helix
from tests.editors.playing import Waiting, nobody, playing
from tests.test_openai_target import stream

FOLDER = Path(__file__).parents[2] / "editors" / "helix"
TABLE = tomllib.loads((FOLDER / "languages.toml").read_text(encoding="utf-8"))
SURE = [("rn 42", 0.1), ("\n", 0.1)]
UNSURE = [("rn unsure", 5.0), ("\n", 0.1)]
BLOCK = [("a = 1\n", 0.1), ("    b = 2\n", 0.1), ("    return a\n", 0.1)]


# ── the file ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_server_that_the_file_names_is_defined() -> None:
    """By the file itself, or by Helix."""
    named = {
        server if isinstance(server, str) else server["name"]
        for language in TABLE["language"]
        for server in language["language-servers"]
    }

    assert named - set(TABLE["language-server"]) - set(CLIENT["servers"]) == set()
    assert TABLE["language-server"]["egate"]["command"] == "egate-lsp"
    assert TABLE["language-server"]["egate"]["args"] == ["serve"]


def test_egate_comes_last_in_each_language_for_completion_and_commands_only() -> None:
    """The language's own server keeps its place; without "workspace-command" Helix does not find our commands."""
    wanted = {"name": "egate", "only-features": ["completion", "workspace-command"]}

    assert [language["name"] for language in TABLE["language"] if language["language-servers"][-1] != wanted] == []
    assert [language["name"] for language in TABLE["language"] if len(language["language-servers"]) < 2] == []


def test_each_language_is_named_once() -> None:
    names = [language["name"] for language in TABLE["language"]]

    assert sorted(set(names)) == sorted(names)
    assert len(names) >= 20


def test_the_commented_settings_are_settings_of_ours() -> None:
    text = (FOLDER / "languages.toml").read_text(encoding="utf-8")
    lines = [line.removeprefix("# ") for line in text.splitlines() if line.startswith(("# [", "# base_url", "# model"))]
    config = tomllib.loads("\n".join(lines))["language-server"]["egate"]["config"]
    settings, problems = resolve([("editor", config)])

    assert problems == []
    assert settings.target.base_url.endswith("/v1")


def test_the_command_of_the_file_is_one_that_the_package_installs() -> None:
    project = tomllib.loads((FOLDER.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert TABLE["language-server"]["egate"]["command"] in project["scripts"]


def test_the_readme_says_what_the_file_says() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")

    assert '"completion", "workspace-command"' in readme
    assert all(command in readme for command in ("egate.toggle", "egate.pauseTarget"))
    assert CLIENT["clientInfo"]["version"] in readme


# ── the session ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_helix_is_offered(tmp_path: Path) -> None:
    async with helix(tmp_path, "x = 1\n", script(tmp_path, ("", []))) as editor:
        (first,) = editor.wire.replies[1]
        capabilities = first["result"]["capabilities"]

        assert capabilities["positionEncoding"] == "utf-8"
        assert "inlineCompletionProvider" not in capabilities
        # A trigger character of ours would open the menus of all the language's servers there.
        assert capabilities["completionProvider"].get("triggerCharacters") is None
        # Helix would ask for the documentation once more, and block on it when the entry is chosen.
        assert not capabilities["completionProvider"].get("resolveProvider")
        assert {"egate.toggle", "egate.pauseTarget"} <= set(capabilities["executeCommandProvider"]["commands"])


async def test_an_entry_as_helix_shows_it_well(tmp_path: Path) -> None:
    async with helix(tmp_path, "def answer():\n    \n", script(tmp_path, ("    retu", SURE))) as editor:
        editor.go("    ")
        editor.type("retu")
        result = await editor.complete()
        (item,) = result["items"]

        assert result["isIncomplete"] is True
        assert item["label"] == "return 42"
        assert item["filterText"].startswith("retu")
        assert item["preselect"] is True
        assert item["sortText"] < "0"
        assert item["textEdit"]["range"]["start"] == {"line": 1, "character": 4}
        assert item["documentation"]["kind"] == "markdown"
        assert "```python\nreturn 42\n```" in item["documentation"]["value"]
        assert "line 1: draft" in item["documentation"]["value"]


async def test_the_entry_stays_while_its_text_is_typed(tmp_path: Path) -> None:
    """Helix asks again at each character while the menu is open, and filters by what stands since the word began."""
    settings = script(tmp_path, ("    re", [("turn 42", 0.1), ("\n", 0.1)]))
    async with helix(tmp_path, "def answer():\n    \n", settings) as editor:
        editor.go("    ")
        editor.type("re")
        await editor.complete()
        for character in "turn":
            editor.type(character)
            (item,) = (await editor.complete(INCOMPLETE))["items"]
            typed = editor.text[editor.offset(item["textEdit"]["range"]["start"]) : editor.cursor]

            assert item["filterText"].startswith(typed)
            assert item["textEdit"]["newText"] == "return 42"


async def test_a_chosen_block_is_put_in_whole(tmp_path: Path) -> None:
    async with helix(tmp_path, "def f():\n    \nf()\n", script(tmp_path, ("    ", BLOCK))) as editor:
        editor.go("    ")
        (item,) = (await editor.complete())["items"]
        editor.choose(item)

        assert editor.text == "def f():\n    a = 1\n    b = 2\n    return a\nf()\n"
        assert item["documentation"]["value"].count("\n") >= 4


async def test_positions_are_bytes(tmp_path: Path) -> None:
    async with helix(tmp_path, "print('😀é', )\n", script(tmp_path, ("'😀é', na", [("me)", 0.1)]))) as editor:
        editor.go("', ")
        editor.type("na")
        (item,) = (await editor.complete())["items"]
        editor.choose(item)

        assert editor.text == "print('😀é', name)\n"


async def test_a_file_with_crlf_keeps_its_line_ends(tmp_path: Path) -> None:
    async with helix(tmp_path, "def f():\r\n    \r\nf()\r\n", script(tmp_path, ("    ", BLOCK))) as editor:
        editor.go("    ")
        (item,) = (await editor.complete())["items"]
        editor.choose(item)

        assert editor.text == "def f():\r\n    a = 1\r\n    b = 2\r\n    return a\r\nf()\r\n"


async def test_nothing_to_say_leaves_the_menu_to_the_other_servers(tmp_path: Path) -> None:
    """Helix opens its menu with the first list that has entries *or is incomplete*: an empty incomplete one would
    open it empty, and what a slower server answers would be dropped."""
    async with helix(tmp_path, "x = \n", script(tmp_path, ("never", []))) as editor:
        editor.go("x = ")
        assert await editor.complete() == {"isIncomplete": False, "items": []}
        # While a menu is open, an incomplete list is asked for again at the next character.
        assert await editor.complete(INCOMPLETE) == {"isIncomplete": True, "items": []}


async def test_late_answers_are_harmless(tmp_path: Path) -> None:
    """Helix cancels nothing. The older requests end at once, empty; the newest has the entry for what is typed now."""
    slow = script(tmp_path, ("reto", SURE), ("", [("x", 0.1)] * 10_000), delay_s=0.01)
    async with helix(tmp_path, "def answer():\n    \n", slow) as editor:
        editor.go("    ")
        asked = []
        for character in "reto":
            editor.type(character)
            asked.append(editor.ask(INCOMPLETE))
        *older, newest = [(await editor.wire.reply(request))["result"] for request in asked]

        assert [result["items"] for result in older] == [[], [], []]
        assert [item["label"] for item in newest["items"]] == ["retorn 42"]
        assert all(len(editor.wire.replies[request]) == 1 for request in asked)


async def test_several_documents_do_not_disturb_each_other(tmp_path: Path) -> None:
    settings = script(tmp_path, ("one = ", [("1", 0.1)]), ("two = ", [("2", 0.1)]), delay_s=0.05)
    async with helix(tmp_path, "one = \n", settings) as first:
        second = Helix(first.wire, tmp_path / "other.py", "two = \n", "python")
        first.go("one = ")
        second.go("two = ")
        asked = first.ask(), second.ask()
        labels = [(await first.wire.reply(request))["result"]["items"][0]["label"] for request in asked]

        assert labels == ["1", "2"]


async def test_toggle_by_a_workspace_command(tmp_path: Path) -> None:
    async with helix(tmp_path, "def answer():\n    \n", script(tmp_path, ("    retu", SURE))) as editor:
        editor.go("    ")
        editor.type("retu")
        assert await editor.command("egate.toggle") is False
        assert await editor.complete() == {"isIncomplete": False, "items": []}
        assert await editor.command("egate.toggle") is True
        assert len((await editor.complete())["items"]) == 1
        # Helix shows no result of a command, but messages in its status line.
        assert editor.wire.messages() == ["egate-lsp: off", "egate-lsp: on"]


async def test_pause_the_target_by_a_workspace_command(tmp_path: Path) -> None:
    play = Waiting(stream(" return sure"))  # it is asked from before the word
    play.release.set()
    async with playing(play) as target:
        settings = {**script(tmp_path, ("    retu", UNSURE)), "target": target, "gate": {"tau": 0.1}}
        async with helix(tmp_path, "def answer():\n    \n", settings) as editor:
            editor.go("    ")
            editor.type("retu")
            assert await editor.command("egate.pauseTarget") is True
            (item,) = (await editor.complete())["items"]
            assert item["label"] == "return unsure"
            assert play.requests == []


async def test_a_line_by_the_target_says_so(tmp_path: Path) -> None:
    play = Waiting(stream(" return sure"))  # it is asked from before the word
    play.release.set()
    async with playing(play) as target:
        settings = {
            **script(tmp_path, ("    retu", UNSURE)),
            "target": target,
            "gate": {"tau": 0.1},
            "cascade": {"deadline_ms": 60_000},
        }
        async with helix(tmp_path, "def answer():\n    \n", settings) as editor:
            editor.go("    ")
            editor.type("retu")
            (item,) = (await editor.complete())["items"]

            assert item["label"] == "return sure"
            assert item["detail"] == "egate-lsp: target"
            assert "line 1: target (m)" in item["documentation"]["value"]


async def test_the_target_is_down(tmp_path: Path) -> None:
    settings = {
        **script(tmp_path, ("    retu", UNSURE)),
        "target": nobody(),
        "gate": {"tau": 0.1},
        "cascade": {"deadline_ms": 60_000},  # a busy machine may take a while to find nobody there
    }
    async with helix(tmp_path, "def answer():\n    \n", settings) as editor:
        editor.go("    ")
        editor.type("retu")
        (item,) = (await editor.complete())["items"]

        assert item["label"] == "return unsure"


async def test_the_model_is_missing(tmp_path: Path) -> None:
    """Helix shows `window/showMessage` in its status line."""
    async with helix(tmp_path, "x = \n", {"models": {"cache_dir": str(tmp_path / "empty")}}) as editor:
        editor.go("x = ")
        for _ in range(2):
            assert (await editor.complete())["items"] == []

        (message,) = editor.wire.messages()
        assert "egate-lsp models pull" in message


async def test_a_chosen_entry_is_an_acceptance_though_helix_runs_no_command(tmp_path: Path) -> None:
    async with helix(tmp_path, "def answer():\n    \n", script(tmp_path, ("    retu", SURE))) as editor:
        editor.go("    ")
        editor.type("retu")
        (item,) = (await editor.complete())["items"]
        editor.choose(item)
        editor.type("\n")
        stats = await editor.command("egate.stats")

        assert stats["accepted"] == 1


@pytest.mark.live
async def test_with_the_real_draft(tmp_path: Path) -> None:
    model = model_file("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf")
    settings = {"models": {"cache_dir": str(model.parent)}, "cascade": {"deadline_ms": 60_000}}
    text = 'def add(a, b):\n    """The sum of a and b."""\n    \n\n\nprint(add(1, 2))\n'
    async with helix(tmp_path, text, settings) as editor:
        editor.go('b."""\n    ')
        editor.type("re")
        (item,) = (await editor.complete())["items"]
        editor.choose(item)

        assert editor.text == text.replace('"""\n    \n', '"""\n    return a + b\n')
