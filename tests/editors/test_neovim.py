"""The plug-in in a real Neovim: type, see the ghost text on the screen, accept, and read the buffer."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import model_file
from tests.e2e.wire import script
from tests.editors.neovim import PLUGIN, Neovim, executable, neovim

pytestmark = pytest.mark.editor


def opened(tmp_path: Path, text: str, name: str = "sample.py") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


def test_type_see_accept(tmp_path: Path) -> None:
    file = opened(tmp_path, "def answer():\n\nprint(answer())\n")
    settings = script(tmp_path, ("    retu", [("rn", 0.1), (" 42\n", 0.1)]))
    with neovim(tmp_path, file, settings) as nvim:
        nvim.keys("2GA    retu")
        screen = nvim.until_on_screen("return 42")
        assert nvim.buffer() == "def answer():\n    retu\nprint(answer())\n"
        assert screen[1].startswith("    return 42")
        nvim.keys("<Tab>")
        nvim.until("vim.api.nvim_get_current_line() == '    return 42'")

        assert nvim.buffer() == "def answer():\n    return 42\nprint(answer())\n"
        nvim.until("require('egate').client() ~= nil")
        stats = nvim.lua(
            "return require('egate').client():request_sync("
            "'workspace/executeCommand', {command = 'egate.stats'}, 5000).result"
        )
        assert stats["accepted"] == 1


def test_several_lines(tmp_path: Path) -> None:
    file = opened(tmp_path, "def f(x):\n\nprint(f(1))\n")
    settings = script(tmp_path, ("    ", [("y = x\n", 0.1), ("    return y\n", 0.1)]))
    with neovim(tmp_path, file, settings) as nvim:
        nvim.keys("2GA    ")
        screen = nvim.until_on_screen("return y")
        assert screen[1:4] == ["    y = x", "    return y", "print(f(1))"]
        nvim.keys("<Tab>")
        nvim.until("vim.api.nvim_buf_line_count(0) == 4")

        assert nvim.buffer() == "def f(x):\n    y = x\n    return y\nprint(f(1))\n"


def test_in_the_middle_of_a_line_after_astral_characters(tmp_path: Path) -> None:
    file = opened(tmp_path, "print('😀', )\n")
    settings = script(tmp_path, ("'😀', n", [("ame)", 0.1)]))
    with neovim(tmp_path, file, settings) as nvim:
        nvim.keys("gg$in")
        nvim.until_on_screen("name")
        nvim.keys("<Tab>")
        nvim.until("vim.api.nvim_get_current_line():find('name') ~= nil")

        assert nvim.buffer() == "print('😀', name)\n"


def test_a_file_with_crlf(tmp_path: Path) -> None:
    file = opened(tmp_path, "def f():\r\n\r\nf()\r\n")
    settings = script(tmp_path, ("    ", [("a = 1\n    b = 2\n", 0.1)]))
    with neovim(tmp_path, file, settings) as nvim:
        nvim.keys("2GA    ")
        nvim.until_on_screen("b = 2")
        nvim.keys("<Tab>")
        nvim.until("vim.api.nvim_buf_line_count(0) == 4")
        nvim.keys("<Esc>:w<CR>")
        nvim.until("not vim.bo.modified")

        assert file.read_bytes() == b"def f():\r\n    a = 1\r\n    b = 2\r\nf()\r\n"


@contextmanager
def proposing(tmp_path: Path) -> Iterator[Neovim]:
    """A Neovim that shows a suggestion: "x = 4" was typed, and "2 + 1" is proposed."""
    file = opened(tmp_path, "x = \n")
    with neovim(tmp_path, file, script(tmp_path, ("x = 4", [("2 + 1\n", 0.1)]))) as nvim:
        nvim.keys("A4")
        nvim.until_on_screen("42 + 1")
        yield nvim


def test_leaving_insert_mode_takes_the_ghost_text_away(tmp_path: Path) -> None:
    with proposing(tmp_path) as nvim:
        nvim.keys("<Esc>")
        nvim.until("vim.fn.mode() == 'n'")

        assert (nvim.screen())[0] == "x = 4"
        assert nvim.buffer() == "x = 4\n"


def test_dismissing_takes_the_suggestion_away_and_the_server_remembers(tmp_path: Path) -> None:
    with proposing(tmp_path) as nvim:
        nvim.lua("require('egate').dismiss()")
        nvim.keys("<Esc>")
        nvim.until("vim.fn.mode() == 'n'")
        assert (nvim.screen())[0] == "x = 4"
        nvim.keys("A")
        nvim.until_on_screen("42 + 1")  # asked of the model anew
        why = nvim.lua(
            "return require('egate').client():request_sync("
            "'egate/explain', {textDocument = {uri = vim.uri_from_bufnr(0)}}, 5000).result"
        )

        assert why["lines"][0]["signals"]["unease"] > 0.3


def test_the_key_keeps_its_meaning_without_a_suggestion(tmp_path: Path) -> None:
    file = opened(tmp_path, "\n", "sample.txt")
    with neovim(tmp_path, file, script(tmp_path, ("never", []))) as nvim:
        nvim.keys("ia<Tab>b<Esc>")
        nvim.until("vim.fn.mode() == 'n'")

        assert nvim.buffer() == "a" + " " * 7 + "b\n"


def test_why(tmp_path: Path) -> None:
    file = opened(tmp_path, "x = \n")
    with neovim(tmp_path, file, script(tmp_path, ("x = 4", [("2\n", 0.1)]))) as nvim:
        nvim.keys("A4")
        nvim.until_on_screen("42")
        nvim.keys("<Esc>:Egate why<CR>")
        screen = nvim.until_on_screen("why this suggestion")

        assert any("draft" in row and "2" in row for row in screen)


def test_checkhealth(tmp_path: Path) -> None:
    file = opened(tmp_path, "x = \n")
    with neovim(tmp_path, file, script(tmp_path, ("", []))) as nvim:
        nvim.keys(":checkhealth egate<CR>")
        nvim.until_on_screen("the server is")


@pytest.mark.live
def test_with_the_real_draft(tmp_path: Path) -> None:
    model = model_file("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf")
    file = opened(tmp_path, 'def add(a, b):\n    """The sum of a and b."""\n\n\nprint(add(1, 2))\n')
    settings = {"models": {"cache_dir": str(model.parent)}, "cascade": {"deadline_ms": 60_000}}
    with neovim(tmp_path, file, settings) as nvim:
        nvim.keys("3GA    retu")
        nvim.until_on_screen("    return a + b")
        nvim.keys("<Tab>")
        nvim.until("vim.api.nvim_get_current_line() ~= '    retu'")

        text = nvim.buffer()
        assert text == 'def add(a, b):\n    """The sum of a and b."""\n    return a + b\n\nprint(add(1, 2))\n'


def test_the_help_file_has_tags(tmp_path: Path) -> None:
    shutil.copytree(PLUGIN / "doc", tmp_path / "doc")
    command = [executable(), "--headless", "--clean", "-c", f"helptags {tmp_path / 'doc'}", "-c", "qall"]
    result = subprocess.run(command, capture_output=True, check=True)

    assert result.stderr == b""
    assert ":Egate" in (tmp_path / "doc" / "tags").read_text()
