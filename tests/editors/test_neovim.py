"""The plug-in in real Neovims: type, see the ghost text on the screen, accept, and read the buffer.

Every story runs in both supported releases: 0.11, where the plug-in draws, and 0.12, where Neovim does.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import model_file
from tests.e2e.wire import script
from tests.editors.neovim import PLUGIN, VERSIONS, Neovim, command_lua, executable, neovim, ordinary_init
from tests.editors.target import slow_target

pytestmark = pytest.mark.editor

Rule = tuple[str, list[tuple[str, float]]]
LINE = "vim.api.nvim_get_current_line()"


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return request.param


def opened(tmp_path: Path, text: str, name: str = "sample.py") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


def editing(
    tmp_path: Path, version: str, text: str, *rules: Rule, name: str = "sample.py", options: str = "", **settings: Any
) -> AbstractContextManager[Neovim]:
    """A Neovim with a file of that text, and a draft that follows the rules."""
    file = opened(tmp_path, text, name)
    init = ordinary_init(tmp_path, {**script(tmp_path, *rules), **settings}, options)
    return neovim(tmp_path, file, version=version, init=init)


@contextmanager
def proposing(tmp_path: Path, version: str, options: str = "") -> Iterator[Neovim]:
    """A Neovim that shows a suggestion: "x = 4" was typed, and "2 + 1" is proposed."""
    with editing(tmp_path, version, "x = \n", ("x = 4", [("2 + 1\n", 0.1)]), options=options) as nvim:
        nvim.keys("A4")
        nvim.until_on_screen("42 + 1")
        yield nvim


def statistics(nvim: Neovim) -> dict[str, Any]:
    return nvim.request("workspace/executeCommand", "{ command = 'egate.stats' }")


# ── ghost text and accepting ──────────────────────────────────────────────────────────────────────────────────────


def test_type_see_accept(tmp_path: Path, version: str) -> None:
    rule: Rule = ("    retu", [("rn", 0.1), (" 42\n", 0.1)])
    with editing(tmp_path, version, "def answer():\n\nprint(answer())\n", rule) as nvim:
        drawn_by = nvim.lua("return require('egate.ghost').backend().name")
        assert drawn_by == ("vim.lsp.inline_completion" if version == "0.12" else "ghost text of its own")
        nvim.keys("2GA    retu")
        screen = nvim.until_on_screen("return 42")
        assert nvim.buffer() == "def answer():\n    retu\nprint(answer())\n"
        assert screen[1].startswith("    return 42")
        nvim.keys("<Tab>")
        nvim.until(f"{LINE} == '    return 42'")

        assert nvim.buffer() == "def answer():\n    return 42\nprint(answer())\n"
        assert statistics(nvim)["accepted"] == 1


def test_several_lines(tmp_path: Path, version: str) -> None:
    rule: Rule = ("    ", [("y = x\n", 0.1), ("    return y\n", 0.1)])
    with editing(tmp_path, version, "def f(x):\n\nprint(f(1))\n", rule) as nvim:
        nvim.keys("2GA    ")
        screen = nvim.until_on_screen("return y")
        assert screen[1:4] == ["    y = x", "    return y", "print(f(1))"]
        nvim.keys("<Tab>")
        nvim.until("vim.api.nvim_buf_line_count(0) == 4")

        assert nvim.buffer() == "def f(x):\n    y = x\n    return y\nprint(f(1))\n"


def test_accept_word_by_word_then_a_line_then_the_rest(tmp_path: Path, version: str) -> None:
    rule: Rule = ("    ", [("total = x\n", 0.1), ("    y = total\n", 0.1), ("    return y\n", 0.1)])
    with editing(tmp_path, version, "def f(x):\n\nprint(f(1))\n", rule) as nvim:
        nvim.keys("2GA    ")
        nvim.until_on_screen("return y")
        nvim.keys("<M-w>")
        nvim.until(f"{LINE} == '    total'")
        assert nvim.screen()[1:4] == ["    total = x", "    y = total", "    return y"]  # at once, without a request
        nvim.keys("<M-w>")
        nvim.until(f"{LINE} == '    total ='")
        nvim.keys("<M-l>")
        nvim.until(f"{LINE} == '    total = x'")
        assert nvim.screen()[2:4] == ["    y = total", "    return y"]
        nvim.keys("<M-l>")
        nvim.until(f"{LINE} == '    y = total'")
        assert statistics(nvim)["accepted"] == 0
        nvim.keys("<Tab>")
        nvim.until(f"{LINE} == '    return y'")

        assert nvim.buffer() == "def f(x):\n    total = x\n    y = total\n    return y\nprint(f(1))\n"
        assert statistics(nvim)["accepted"] == 1


def test_typing_along_keeps_it_on_screen_and_typing_otherwise_takes_it_away(tmp_path: Path, version: str) -> None:
    with proposing(tmp_path, version) as nvim:
        nvim.lua("vim.lsp.get_clients()[1].request = function() return true, 1 end")  # no answer comes any more
        nvim.keys("2 ")
        nvim.until(f"{LINE} == 'x = 42 '")
        assert nvim.screen()[0] == "x = 42 + 1"
        nvim.keys("-")
        nvim.until(f"{LINE} == 'x = 42 -'")

        assert nvim.screen()[0] == "x = 42 -"
        assert nvim.lua("return require('egate').accept()") is False


def test_typing_along_over_a_line_break(tmp_path: Path, version: str) -> None:
    rule: Rule = ("    ", [("y = x\n", 0.1), ("    return y\n", 0.1)])
    with editing(tmp_path, version, "def f(x):\n\nprint(f(1))\n", rule) as nvim:
        nvim.keys("2GA    ")
        nvim.until_on_screen("return y")
        nvim.lua("vim.lsp.get_clients()[1].request = function() return true, 1 end")
        nvim.keys("y = x<CR>re")  # the file type's own indent fills in the spaces
        nvim.until(f"{LINE} == '    re'")
        assert nvim.screen()[1:4] == ["    y = x", "    return y", "print(f(1))"]
        nvim.keys("<Tab>")
        nvim.until(f"{LINE} == '    return y'")

        assert nvim.buffer() == "def f(x):\n    y = x\n    return y\nprint(f(1))\n"


def test_keys_typed_just_before_accepting_are_not_doubled(tmp_path: Path, version: str) -> None:
    with proposing(tmp_path, version) as nvim:
        nvim.keys("2 <Tab>")
        nvim.until(f"#{LINE} >= 10")

        assert nvim.buffer() == "x = 42 + 1\n"


def test_in_the_middle_of_a_line_after_astral_characters(tmp_path: Path, version: str) -> None:
    with editing(tmp_path, version, "print('😀', )\n", ("'😀', n", [("ame)", 0.1)])) as nvim:
        nvim.keys("gg$in")
        screen = nvim.until_on_screen("name")
        assert screen[0] == "print('😀', name)"
        nvim.keys("<Tab>")
        nvim.until(f"{LINE}:find('name') ~= nil")

        assert nvim.buffer() == "print('😀', name)\n"


def test_a_part_with_multi_byte_characters_is_counted_in_utf16(tmp_path: Path, version: str) -> None:
    with editing(tmp_path, version, "x = \n", ("x = ", [("'😀é' + y + z\n", 0.1)])) as nvim:
        nvim.lua(
            """
            local client = vim.lsp.get_clients()[1]
            local request = client.request
            client.request = function(self, method, params, ...)
              if method == 'workspace/executeCommand' then
                vim.g.told = params
              end
              return request(self, method, params, ...)
            end
            """
        )
        nvim.keys("A<M-t>")
        nvim.until_on_screen("+ y + z")
        nvim.keys("<M-w><M-w>")
        nvim.until(f'{LINE} == "x = \'😀é" or {LINE} == "x = \'😀é\'"')

        told = nvim.lua("return vim.g.told")
        inserted = nvim.lua(f"return {LINE}").removeprefix("x = ")
        assert told["command"] == "egate.partiallyAccepted"
        assert told["arguments"][1] == len(inserted.encode("utf-16-le")) // 2


def test_a_file_with_crlf(tmp_path: Path, version: str) -> None:
    rule: Rule = ("    ", [("a = 1\n    b = 2\n", 0.1)])
    with editing(tmp_path, version, "def f():\r\n\r\nf()\r\n", rule) as nvim:
        nvim.keys("2GA    ")
        nvim.until_on_screen("b = 2")
        nvim.keys("<Tab>")
        nvim.until("vim.api.nvim_buf_line_count(0) == 4")
        nvim.keys("<Esc>:w<CR>")
        nvim.until("not vim.bo.modified")

        assert (tmp_path / "sample.py").read_bytes() == b"def f():\r\n    a = 1\r\n    b = 2\r\nf()\r\n"


def test_tabs_in_the_suggestion(tmp_path: Path, version: str) -> None:
    rule: Rule = ("\t", [("if ok {\n", 0.1), ("\t\treturn\n", 0.1), ("\t}\n", 0.1)])
    with editing(tmp_path, version, "func f() {\n\n}\n", rule, name="sample.go") as nvim:
        nvim.lua("vim.bo.expandtab, vim.bo.tabstop = false, 4")
        nvim.keys("2GA<C-v><Tab>")
        screen = nvim.until_on_screen("return")
        assert screen[1:4] == ["    if ok {", "        return", "    }"]
        nvim.keys("<Tab>")
        nvim.until("vim.api.nvim_buf_line_count(0) == 5")

        assert nvim.buffer() == "func f() {\n\tif ok {\n\t\treturn\n\t}\n}\n"


def test_undo_takes_back_the_accepted_text_in_one_step(tmp_path: Path, version: str) -> None:
    rule: Rule = ("    ", [("y = x\n", 0.1), ("    return y\n", 0.1)])
    with editing(tmp_path, version, "def f(x):\n\nprint(f(1))\n", rule) as nvim:
        nvim.keys("2GA    ")
        nvim.until_on_screen("return y")
        nvim.keys("<Tab>")
        nvim.until("vim.api.nvim_buf_line_count(0) == 4")
        nvim.keys("<Esc>u")
        nvim.until("vim.api.nvim_buf_line_count(0) == 3")
        assert nvim.buffer() == "def f(x):\n    \nprint(f(1))\n"
        nvim.keys("u")
        nvim.until("vim.api.nvim_buf_get_lines(0, 1, 2, false)[1] == ''")


def test_dot_repeats_what_was_typed_and_accepted(tmp_path: Path, version: str) -> None:
    with editing(tmp_path, version, "x = \ny = \n", ("x = 4", [("2 + 1\n", 0.1)])) as nvim:
        nvim.keys("A4")
        nvim.until_on_screen("42 + 1")
        nvim.keys("<Tab>")
        nvim.until(f"{LINE} == 'x = 42 + 1'")
        nvim.keys("<Esc>j.")
        nvim.until(f"{LINE} ~= 'y = ' and vim.fn.mode() == 'n'")

        assert nvim.buffer() == "x = 42 + 1\ny = 42 + 1\n"


def test_a_mapping_with_expr_and_the_plug_mappings(tmp_path: Path, version: str) -> None:
    with proposing(tmp_path, version) as nvim:
        nvim.lua(
            """
            vim.keymap.set('i', '<C-l>', function()
              return require('egate').accept() and '' or 'nothing'
            end, { expr = true })
            vim.keymap.set('i', '<C-k>', '<Plug>(egate-accept-word)')
            """
        )
        nvim.keys("<C-k>")
        nvim.until(f"{LINE} == 'x = 42'")
        nvim.keys("<C-l>")
        nvim.until(f"{LINE} == 'x = 42 + 1'")
        nvim.keys("<C-l>")
        nvim.until(f"{LINE} == 'x = 42 + 1nothing'")


def test_cycling_asks_by_hand_for_other_suggestions(tmp_path: Path, version: str) -> None:
    with proposing(tmp_path, version) as nvim:
        # The scripted draft has one answer only: others are added to what the server says to a request by hand.
        nvim.lua(
            """
            local client = vim.lsp.get_clients()[1]
            local request = client.request
            client.request = function(self, method, params, handler, bufnr)
              if method == 'workspace/executeCommand' then
                vim.g.told = params
              end
              if method ~= 'textDocument/inlineCompletion' or params.context.triggerKind ~= 1 then
                return request(self, method, params, handler, bufnr)
              end
              return request(self, method, params, function(err, result, context)
                for _, text in ipairs({ '3 - 1', '4 * 1' }) do
                  local item = vim.deepcopy(result.items[1])
                  item.insertText, item.command.arguments = text, { text }
                  table.insert(result.items, item)
                end
                handler(err, result, context)
              end, bufnr)
            end
            """
        )
        nvim.keys("<M-n>")
        nvim.until_on_screen("43 - 1 (2/3)")
        nvim.keys("<M-n>")
        nvim.until_on_screen("44 * 1 (3/3)")
        nvim.keys("<M-n>")
        nvim.until_on_screen("42 + 1 (1/3)")
        nvim.keys("<M-p>")
        nvim.until_on_screen("44 * 1 (3/3)")
        nvim.keys("<M-w>")
        nvim.until(f"{LINE} == 'x = 44'")
        assert nvim.screen()[0].startswith("x = 44 * 1")
        nvim.keys("<Tab>")
        nvim.until(f"{LINE} == 'x = 44 * 1'")
        nvim.until("vim.g.told.command == 'egate.accepted'")

        assert nvim.lua("return vim.g.told.arguments") == ["4 * 1"]


def test_cycling_where_there_is_nothing_else(tmp_path: Path, version: str) -> None:
    with proposing(tmp_path, version) as nvim:
        nvim.keys("<M-n>")
        nvim.until("vim.fn.execute('messages'):find('there is no other suggestion') ~= nil")
        assert nvim.screen()[0] == "x = 42 + 1"


# ── keys and menus ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_keeps_its_meaning_without_a_suggestion(tmp_path: Path, version: str) -> None:
    with editing(tmp_path, version, "\n", ("never", []), name="sample.txt") as nvim:
        nvim.keys("ia<Tab>b<Esc>")
        nvim.until("vim.fn.mode() == 'n'")

        assert nvim.buffer() == "a" + " " * 7 + "b\n"


def test_a_key_that_was_mapped_keeps_its_mapping(tmp_path: Path, version: str) -> None:
    with editing(tmp_path, version, "\n", ("never", []), name="sample.txt") as nvim:
        nvim.lua(
            """
            vim.keymap.set('i', '<F2>', 'rhs')
            vim.keymap.set('i', '<F3>', function() return 'expr' end, { expr = true })
            vim.keymap.set('i', '<F4>', function() vim.api.nvim_put({ 'call' }, 'c', false, true) end)
            vim.keymap.set('i', '<F5>', '<F2>', { remap = true })
            local egate = require('egate')
            local cmd = require('egate.config').options.cmd
            for _ = 1, 2 do -- a second setup() must not take our own mapping for the user's
              egate.setup({ cmd = cmd, keys = { accept = '<F2>', next = '<F3>', previous = '<F4>', dismiss = '<F5>' } })
            end
            """
        )
        nvim.keys("i<F2>,<F3>,<F4>,<F5><Esc>")
        nvim.until("vim.fn.mode() == 'n'")

        assert nvim.buffer() == "rhs,expr,call,rhs\n"


def test_no_key_is_set_unless_asked(tmp_path: Path, version: str) -> None:
    with editing(tmp_path, version, "\n", ("never", []), options="keys = {}") as nvim:
        ours = nvim.lua(
            """
            return vim.tbl_map(function(map) return map.lhs end, vim.tbl_filter(function(map)
              return (map.desc or ''):find('egate') ~= nil and not map.lhs:find('<Plug>', 1, true)
            end, vim.api.nvim_get_keymap('i')))
            """
        )

        assert ours == []


def test_ghost_text_hides_while_a_menu_is_open_and_tab_is_the_menus(tmp_path: Path, version: str) -> None:
    with proposing(tmp_path, version) as nvim:
        nvim.lua("vim.fn.complete(5, { '4000', '4999' })")
        nvim.until("vim.fn.pumvisible() == 1 and require('egate').shown() == nil")
        screen = nvim.screen()
        assert "42 + 1" not in screen[0]
        assert any("4999" in row for row in screen)
        nvim.keys("<C-e>")
        nvim.until_on_screen("42 + 1")  # it is back when the menu is gone


def test_a_plug_ins_menu_counts_as_well(tmp_path: Path, version: str) -> None:
    with proposing(tmp_path, version) as nvim:
        nvim.lua("package.loaded.cmp = { visible = function() return vim.g.menu == 1 end }; vim.g.menu = 1")
        assert nvim.lua("return require('egate').shown()") is None
        nvim.lua("package.loaded.cmp = { visible = function() error('broken') end }")
        assert nvim.lua("return require('egate').shown()") == "2 + 1"
        nvim.lua("package.loaded['blink.cmp'] = { is_visible = function() return true end }")
        assert nvim.lua("return require('egate').shown()") is None
        nvim.lua("vim.api.nvim_exec_autocmds('User', { pattern = 'BlinkCmpMenuOpen' })")
        assert nvim.screen()[0] == "x = 4"
        nvim.lua("package.loaded['blink.cmp'], package.loaded.cmp = nil, nil")
        nvim.lua("vim.api.nvim_exec_autocmds('User', { pattern = 'BlinkCmpMenuClose' })")
        assert nvim.screen()[0] == "x = 42 + 1"


def test_ghost_text_beside_a_menu_if_wanted(tmp_path: Path, version: str) -> None:
    with proposing(tmp_path, version, "menu = 'show'") as nvim:
        nvim.lua("vim.fn.complete(5, { '4', '4999' })")
        nvim.until("vim.fn.pumvisible() == 1")
        nvim.until_on_screen("42 + 1")
        nvim.keys("<M-l>")
        nvim.until(f"{LINE} == 'x = 42 + 1'")

        assert nvim.lua("return vim.fn.pumvisible()") == 0


# ── taking it away ────────────────────────────────────────────────────────────────────────────────────────────────


def test_leaving_insert_mode_takes_the_ghost_text_away(tmp_path: Path, version: str) -> None:
    with proposing(tmp_path, version) as nvim:
        nvim.keys("<Esc>")
        nvim.until("vim.fn.mode() == 'n'")

        assert nvim.screen()[0] == "x = 4"
        assert nvim.buffer() == "x = 4\n"


def test_leaving_insert_mode_cancels_what_was_asked(tmp_path: Path, version: str) -> None:
    file = opened(tmp_path, "x = \n")
    settings = script(tmp_path, ("x = 4", [("2\n", 0.1)]), delay_s=600)
    with neovim(tmp_path, file, version=version, init=ordinary_init(tmp_path, settings)) as nvim:
        waiting = """(function()
            for _, request in pairs(require('egate').client().requests) do
              if request.method == 'textDocument/inlineCompletion' and request.type == 'pending' then return true end
            end
            return false
        end)()"""
        nvim.keys("A4")
        nvim.until(waiting)
        nvim.keys("<Esc>")
        nvim.until(f"not {waiting}")

        assert nvim.screen()[0] == "x = 4"
        assert nvim.request("egate/status")["state"] != "error"  # and the server answers


def test_dismissing_takes_the_suggestion_away_and_the_server_remembers(tmp_path: Path, version: str) -> None:
    with proposing(tmp_path, version) as nvim:
        nvim.keys("<M-d>")
        nvim.until("require('egate').shown() == nil")
        assert nvim.screen()[0] == "x = 4"
        nvim.keys("<Esc>A")
        nvim.until_on_screen("42 + 1")  # asked of the model anew
        why = nvim.request("egate/explain", "{ textDocument = { uri = vim.uri_from_bufnr(0) } }")

        assert why["lines"][0]["signals"]["unease"] > 0.3


def test_an_answer_that_the_text_has_left_behind_is_dropped(tmp_path: Path, version: str) -> None:
    file = opened(tmp_path, "x = \n")
    settings = script(tmp_path, ("x = 4", [("2\n", 0.1)]), ("x = 47", []))
    with neovim(tmp_path, file, version=version, init=ordinary_init(tmp_path, settings)) as nvim:
        # The answer is kept back until another text stands there.
        nvim.lua(
            """
            local client = vim.lsp.get_clients()[1]
            local request = client.request
            client.request = function(self, method, params, handler, bufnr)
              if method ~= 'textDocument/inlineCompletion' then return request(self, method, params, handler, bufnr) end
              client.request = function() return true, 1 end
              return request(self, method, params, function(...)
                local answer = { ... }
                vim.g.answered = #answer[2].items
                _G.deliver = function() handler(unpack(answer)) end
              end, bufnr)
            end
            """
        )
        nvim.keys("A4")
        nvim.until("vim.g.answered == 1")
        nvim.keys("7")
        nvim.until(f"{LINE} == 'x = 47'")
        nvim.lua("_G.deliver()")

        assert nvim.screen()[0] == "x = 47"
        assert nvim.lua("return require('egate').shown()") is None


# ── commands ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_toggle(tmp_path: Path, version: str) -> None:
    with proposing(tmp_path, version) as nvim:
        nvim.keys("<Cmd>Egate toggle<CR>")
        nvim.until("require('egate').shown() == nil")
        assert nvim.screen()[0] == "x = 4"
        assert nvim.request("egate/status")["state"] == "off"
        nvim.keys("<Cmd>Egate toggle<CR>")
        nvim.until_on_screen("42 + 1")


def test_toggle_for_a_language(tmp_path: Path, version: str) -> None:
    with proposing(tmp_path, version) as nvim:
        nvim.keys("<Cmd>Egate toggle-language<CR>")
        nvim.until("require('egate').shown() == nil")
        assert nvim.request("egate/status")["languagesOff"] == ["python"]
        nvim.keys("<Cmd>Egate toggle-language<CR>")
        nvim.until_on_screen("42 + 1")


def test_trigger(tmp_path: Path, version: str) -> None:
    with proposing(tmp_path, version) as nvim:
        nvim.keys("<M-d>")
        nvim.until("require('egate').shown() == nil")
        nvim.keys("<M-t>")
        nvim.until_on_screen("42 + 1")
        nvim.keys("<Esc>:Egate trigger<CR>")
        nvim.until_on_screen("in insert mode")


def test_status_and_statusline(tmp_path: Path, version: str) -> None:
    with proposing(tmp_path, version) as nvim:
        nvim.lua("vim.o.laststatus = 2; vim.o.statusline = \"%{%v:lua.require'egate'.statusline()%}\"")
        nvim.until_on_screen("egate: ready")
        nvim.keys("<Esc>:Egate status<CR>")
        nvim.until_on_screen("none: nothing leaves this machine")


def test_the_statusline_shows_what_share_the_target_wrote(tmp_path: Path, version: str) -> None:
    with editing(tmp_path, version, "x = \n", ("never", [])) as nvim:
        nvim.lua("vim.o.laststatus = 2; vim.o.statusline = \"%{%v:lua.require'egate'.statusline()%}\"")
        usage = {"lines": 8, "linesTarget": 2, "share": 0.25}
        status = {"state": "ready", "target": "big", "today": usage}
        nvim.lua(f"require('egate').on_status(vim.json.decode([[{json.dumps(status)}]]))")
        nvim.until_on_screen("egate: ready 25%")
        nvim.lua(f"require('egate').on_status(vim.json.decode([[{json.dumps({**status, 'state': 'paused'})}]]))")
        nvim.until_on_screen("egate: local only 25%")


def test_why(tmp_path: Path, version: str) -> None:
    with editing(tmp_path, version, "x = \n", ("x = 4", [("2", 3.5), (" + 1\n", 0.1)])) as nvim:
        nvim.keys("A4")
        nvim.until_on_screen("42 + 1")
        nvim.keys("<Esc>:Egate why<CR>")
        screen = nvim.until_on_screen("why this suggestion")
        assert any("draft" in row and "2 + 1" in row for row in screen)
        shades = nvim.lua(
            """
            for _, window in ipairs(vim.api.nvim_list_wins()) do
              if vim.api.nvim_win_get_config(window).relative ~= '' then
                local buffer = vim.api.nvim_win_get_buf(window)
                local space = vim.api.nvim_create_namespace('egate.why')
                return vim.tbl_map(function(mark)
                  local text = vim.api.nvim_buf_get_text(buffer, mark[2], mark[3], mark[2], mark[4].end_col, {})[1]
                  return { text, mark[4].hl_group }
                end, vim.api.nvim_buf_get_extmarks(buffer, space, 0, -1, { details = true }))
              end
            end
            """
        )
        assert shades == [["2", "EgateEntropy4"]]  # 3.5 nats of ln 1000
        nvim.keys("h")
        nvim.until("#vim.api.nvim_list_wins() == 1")


def test_why_as_a_page(tmp_path: Path, version: str) -> None:
    with proposing(tmp_path, version) as nvim:
        nvim.lua("vim.ui.open = function(path) vim.g.page = path end")
        nvim.keys("<Cmd>Egate why html<CR>")
        nvim.until("vim.g.page ~= nil")

        page = Path(nvim.lua("return vim.g.page")).read_text()
        assert page.lower().startswith("<!doctype html>")
        assert "2 + 1" in re.sub("<[^>]*>", "", page)


def test_why_before_anything_was_proposed(tmp_path: Path, version: str) -> None:
    with editing(tmp_path, version, "x = \n", ("never", [])) as nvim:
        nvim.keys(":Egate why<CR>")
        nvim.until_on_screen("nothing has been proposed in this file yet")


def test_statistics(tmp_path: Path, version: str) -> None:
    with proposing(tmp_path, version) as nvim:
        nvim.keys("<Tab><Esc>:Egate stats<CR>")
        screen = nvim.until_on_screen("since the start")

        assert any(re.search(r"accepted\s+1\b", row) for row in screen)


def test_pause(tmp_path: Path, version: str) -> None:
    with editing(tmp_path, version, "x = \n", ("never", []), target={"base_url": "http://127.0.0.1:9/v1"}) as nvim:
        nvim.keys(":Egate pause<CR>")
        nvim.until_on_screen("local only")
        assert nvim.request("egate/status")["targetPaused"] is True
        nvim.keys(":Egate pause<CR>")
        nvim.until_on_screen("the target is asked again")
        assert nvim.request("egate/status")["targetPaused"] is False


def test_pick_a_model(tmp_path: Path, version: str) -> None:
    with editing(tmp_path, version, "x = \n", ("never", [])) as nvim:
        nvim.lua("_G.real = vim.ui.select; vim.ui.select = function(items, o, pick) _G.ask = { items, o, pick } end")
        nvim.keys(":Egate model<CR>")
        nvim.until("_G.ask ~= nil")
        shown = nvim.lua("return vim.tbl_map(_G.ask[2].format_item, _G.ask[1])")
        assert any(entry.startswith("qwen2.5-coder-0.5b, 491 MB, ") for entry in shown)
        assert sum("in use" in entry for entry in shown) == 1
        nvim.lua(
            """
            for _, model in ipairs(_G.ask[1]) do
              if not model.installed then
                return _G.ask[3](model)
              end
            end
            _G.ask[3]({ name = 'x', installed = false })
            """
        )
        nvim.until("vim.fn.execute('messages'):find('egate%-lsp models pull') ~= nil")


def test_the_log(tmp_path: Path, version: str) -> None:
    with editing(tmp_path, version, "x = \n", ("never", [])) as nvim:
        nvim.keys(":Egate log<CR>")
        nvim.until("vim.api.nvim_buf_get_name(0):find('server.log') ~= nil")

        assert "egate-lsp" in nvim.buffer()


def test_command_line_completion_and_a_wrong_name(tmp_path: Path, version: str) -> None:
    with editing(tmp_path, version, "x = \n", ("never", [])) as nvim:
        assert nvim.lua("return vim.fn.getcompletion('Egate accept', 'cmdline')") == [
            "accept", "accept-line", "accept-word",
        ]  # fmt: skip
        assert nvim.lua("return vim.fn.getcompletion('Egate why ', 'cmdline')") == ["html"]
        nvim.keys(":Egate nonsense<CR>")
        nvim.until("vim.fn.execute('messages'):find('there is no `:Egate nonsense`', 1, true) ~= nil")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("accept_key = '<Tab>'", "there is no option `accept_key`"),
        ("menu = 'maybe'", "`menu` should be one of hide, show"),
        ("keys = { acept = '<Tab>' }", "`keys.acept` is no action"),
        ("cmd = 'egate-lsp'", "`cmd` should be a table, not a string"),
    ],
)
def test_a_wrong_option_is_named(tmp_path: Path, version: str, options: str, complaint: str) -> None:
    file = opened(tmp_path, "x = \n")
    with neovim(tmp_path, file, version=version, init=ordinary_init(tmp_path, script(tmp_path))) as nvim:
        assert complaint in nvim.lua(f"return select(2, pcall(require('egate').setup, {{ {options} }}))")


# ── several buffers, restarts ─────────────────────────────────────────────────────────────────────────────────────


def test_several_buffers(tmp_path: Path, version: str) -> None:
    files = opened(tmp_path, "x = \n", "one.py"), opened(tmp_path, "y = \n", "two.py")
    settings = script(tmp_path, ("x = 4", [("2 + 1\n", 0.1)]), ("y = 4", [("3 + 1\n", 0.1)]))
    with neovim(tmp_path, *files, version=version, init=ordinary_init(tmp_path, settings)) as nvim:
        nvim.keys("A4")
        nvim.until_on_screen("42 + 1")
        nvim.keys("<Esc>:vsplit | next!<CR>A4")
        screen = nvim.until_on_screen("43 + 1")
        assert not any("42 + 1" in row for row in screen)
        nvim.keys("<Tab>")
        nvim.until(f"{LINE} == 'y = 43 + 1'")
        assert nvim.lua("return #vim.lsp.get_clients()") == 1
        nvim.keys("<Esc><C-w>pA")
        nvim.until_on_screen("42 + 1")


def test_a_server_that_ended_is_said_and_started_again(tmp_path: Path, version: str) -> None:
    with editing(tmp_path, version, "x = \n", ("x = 4", [("2 + 1\n", 0.1)])) as nvim:
        editor = psutil.Process(nvim.lua("return vim.fn.getpid()"))
        server = next(child for child in editor.children() if "egate_lsp" in " ".join(child.cmdline()))
        server.kill()
        # Neovim has a long message of its own for it.
        nvim.until("require('egate').client() == nil", pressing_enter=True)
        nvim.until("vim.fn.execute('messages'):find('Egate restart') ~= nil", pressing_enter=True)
        assert nvim.lua("return require('egate').statusline()") == ""
        nvim.keys(":Egate restart<CR>")
        nvim.until("(require('egate').client() or {}).initialized == true")
        nvim.keys("A4")
        nvim.until_on_screen("42 + 1")


# ── what goes wrong ───────────────────────────────────────────────────────────────────────────────────────────────


def health(nvim: Neovim) -> str:
    nvim.lua("vim.cmd('silent checkhealth egate')")
    return nvim.buffer()


def test_a_missing_server_is_said_once_with_the_fix(tmp_path: Path, version: str) -> None:
    files = opened(tmp_path, "x = \n", "one.py"), opened(tmp_path, "y = \n", "two.py")
    init = ordinary_init(tmp_path, {}).replace(command_lua(tmp_path), "nil")
    environment = {"PATH": "/usr/bin:/bin"}
    with neovim(tmp_path, *files, version=version, init=init, served=False, environment=environment) as nvim:
        nvim.until("vim.fn.execute('messages'):find('was not found') ~= nil")
        nvim.keys(":next<CR>")
        nvim.until("vim.api.nvim_buf_get_name(0):find('two.py') ~= nil")
        assert nvim.messages().count("egate-lsp was not found: pipx install egate-lsp") == 1
        assert nvim.lua("return vim.api.nvim_get_mode().blocking") is False  # nobody has to press ENTER
        report = health(nvim)

        assert "ERROR egate-lsp was not found" in report
        assert "pipx install egate-lsp" in report


def test_a_missing_model_is_said_once_with_the_fix(tmp_path: Path, version: str) -> None:
    settings = {"draft": {"model": "qwen2.5-coder-0.5b"}, "models": {"cache_dir": str(tmp_path / "empty")}}
    file = opened(tmp_path, "x = \n")
    with neovim(tmp_path, file, version=version, init=ordinary_init(tmp_path, settings)) as nvim:
        nvim.keys("A4")
        nvim.until("vim.fn.execute('messages'):find('models pull') ~= nil")
        nvim.keys("5")
        nvim.until(f"{LINE} == 'x = 45'")  # typing goes on
        nvim.keys("<Esc>")
        assert nvim.request("egate/status")["state"] == "error"
        assert nvim.messages().count("egate-lsp models pull qwen2.5-coder-0.5b") == 1
        assert "error" in nvim.lua("return require('egate').statusline()")
        report = health(nvim)

        assert "ERROR" in report
        assert "egate-lsp models pull qwen2.5-coder-0.5b" in report


def test_a_target_that_is_down_costs_no_suggestion(tmp_path: Path, version: str) -> None:
    settings = {"target": {"base_url": "http://127.0.0.1:9/v1"}, "gate": {"tau": 0.0}}
    with editing(tmp_path, version, "x = \n", ("x = 4", [("2 + 1\n", 3.0)]), **settings) as nvim:
        nvim.keys("A4")
        nvim.until_on_screen("42 + 1")
        nvim.keys("<Cmd>Egate why<CR>")
        nvim.until_on_screen("asked default")


def test_a_late_answer_of_the_target_is_shown_without_a_key_and_without_a_blink(tmp_path: Path, version: str) -> None:
    sure, unsure = 0.01, 5.0
    rules: list[Rule] = [
        ("better = 2\n", []),
        ("sure = 1\n", [("    unsure = 1\n", unsure)]),
        ("    ", [("sure = 1\n", sure), ("    unsure = 1\n", unsure)]),
    ]
    with slow_target("    better = 2") as target:
        settings = {**target.settings, "gate": {"tau": 0.3, "syntax": False}, "cascade": {"deadline_ms": 20}}
        with editing(tmp_path, version, "def f():\n\n", *rules, **settings) as nvim:
            nvim.keys("2GA    ")
            nvim.until_on_screen("sure = 1")
            assert "better" not in "".join(nvim.screen())
            nvim.lua(
                """
                _G.blinks, _G.draws = 0, 0
                local space = vim.api.nvim_create_namespace('watch')
                vim.api.nvim_set_decoration_provider(space, { on_end = function()
                  _G.draws = _G.draws + 1
                  if vim.fn.screenstring(2, 5) ~= 's' then _G.blinks = _G.blinks + 1 end
                end })
                """
            )
            target.release.set()
            screen = nvim.until_on_screen("better = 2")
            assert screen[1:3] == ["    sure = 1", "    better = 2"]
            nvim.keys("<Tab>")
            nvim.until(f"{LINE} == '    better = 2'")

            assert nvim.lua("return { _G.blinks, _G.draws > 0 }") == [0, True]
            assert nvim.buffer() == "def f():\n    sure = 1\n    better = 2\n"


@pytest.mark.live
def test_a_crash_of_the_engine_costs_nothing_and_a_restart_starts_another(tmp_path: Path, version: str) -> None:
    model = model_file("SmolLM2-135M-Instruct.Q4_1.gguf")
    settings = {"draft": {"model": str(model), "max_lines": 1}, "cascade": {"deadline_ms": 60_000}}
    file = opened(tmp_path, "def add(a, b):\n    return a + b\n\n\nprint(add(1, \n")
    with neovim(tmp_path, file, version=version, init=ordinary_init(tmp_path, settings)) as nvim:
        editor = psutil.Process(nvim.lua("return vim.fn.getpid()"))

        def engines() -> list[psutil.Process]:
            found = editor.children(recursive=True)
            return [child for child in found if "engine_worker" in " ".join(child.cmdline())]

        nvim.keys("GA2")
        nvim.until("require('egate').shown() ~= nil")
        (first,) = engines()
        first.kill()
        first.wait(60)
        nvim.keys("<Esc>:%d<CR>idef sub(a, b):<CR>return a")
        nvim.until("require('egate').shown() ~= nil")
        (second,) = engines()
        nvim.keys("<Esc>:Egate restart<CR>")
        second.wait(60)
        nvim.until("require('egate').status().state == 'ready'")
        nvim.keys("A - ")
        nvim.until("require('egate').shown() ~= nil")


# ── installation and documentation ────────────────────────────────────────────────────────────────────────────────


def test_checkhealth(tmp_path: Path, version: str) -> None:
    with editing(tmp_path, version, "x = \n", ("", [])) as nvim:
        report = health(nvim)

        assert f"OK Neovim {version}" in report
        assert "OK the server is" in report
        assert "no target: nothing leaves this machine" in report
        assert str(tmp_path / "server.log") in report
        assert "ERROR" not in report


@pytest.mark.live
def test_with_the_real_draft(tmp_path: Path, version: str) -> None:
    model = model_file("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf")
    file = opened(tmp_path, 'def add(a, b):\n    """The sum of a and b."""\n\n\nprint(add(1, 2))\n')
    settings = {"models": {"cache_dir": str(model.parent)}, "cascade": {"deadline_ms": 60_000}}
    with neovim(tmp_path, file, version=version, init=ordinary_init(tmp_path, settings)) as nvim:
        nvim.keys("3GA    retu")
        nvim.until_on_screen("    return a + b")
        nvim.keys("<Tab>")
        nvim.until(f"{LINE} ~= '    retu'")

        text = nvim.buffer()
        assert text == 'def add(a, b):\n    """The sum of a and b."""\n    return a + b\n\nprint(add(1, 2))\n'


def install(tmp_path: Path, version: str) -> None:
    """The README's steps in a home that has nothing yet; the server's command stands for the one on the PATH."""
    readme = (PLUGIN / "README.md").read_text()
    repository, home = tmp_path / "egate-lsp", tmp_path / "home"
    shutil.copytree(PLUGIN, repository / "editors" / "nvim")
    program = home / ".local" / "bin" / "egate-lsp"  # where pipx puts it
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m egate_lsp "$@"\n')
    program.chmod(0o755)
    blocks = [block.replace("/path/to/egate-lsp", str(repository)) for block in fenced(readme)]
    init = home / ".config" / "nvim" / "init.lua"
    init.parent.mkdir(parents=True)
    added = next(block for block in blocks if "vim.pack.add" in block)
    if version == "0.12":
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        for command in (["init", "-q", "-b", "main"], ["add", "-A"], [*identity, "commit", "-q", "-m", "all"]):
            subprocess.run(["git", "-C", str(repository), *command], check=True)
        init.write_text(added.replace("load =", "confirm = false, load ="))  # nobody answers the question here
    else:
        init.write_text(added[added.index("require(") :])
        shell = next(block for block in blocks if "ln -s" in block)
        subprocess.run(["sh", "-c", shell], check=True, env={"PATH": os.environ["PATH"], "HOME": str(home)})


def fenced(markdown: str) -> list[str]:
    """The fenced blocks of a page, without their indentation."""
    return [
        textwrap.dedent(block) for block in re.findall(r"^ *```\w+\n(.*?)^ *```", markdown, re.DOTALL | re.MULTILINE)
    ]


def test_install_as_the_readme_says(tmp_path: Path, version: str) -> None:
    executable(version)
    install(tmp_path, version)
    draft = script(tmp_path, ("x = 4", [("2 + 1\n", 0.1)]))["draft"]["model"]
    config = tmp_path / "config.toml"
    config.write_text(f'[draft]\nmodel = "{draft}"\n')
    file = opened(tmp_path, "x = \n")
    environment = {"EGATE_LSP_CONFIG": str(config), "PATH": "/usr/bin:/bin"}
    with neovim(tmp_path, file, version=version, init=None, environment=environment) as nvim:
        nvim.keys("A4")
        nvim.until_on_screen("42 + 1")
        nvim.keys("<Tab>")
        nvim.until(f"{LINE} == 'x = 42 + 1'")

        assert nvim.lua("return vim.fn.exists(':Egate')") == 2


def test_enabling_without_setup_is_enough(tmp_path: Path, version: str) -> None:
    settings = script(tmp_path, ("x = 4", [("2 + 1\n", 0.1)]))
    init = f"""
        vim.opt.runtimepath:prepend({json.dumps(str(PLUGIN))})
        vim.lsp.config('egate', {{
          cmd = {command_lua(tmp_path)},
          init_options = vim.json.decode([[{json.dumps(settings)}]]),
        }})
        vim.lsp.enable('egate')
        """
    with neovim(tmp_path, opened(tmp_path, "x = \n"), version=version, init=init) as nvim:
        nvim.keys("A4")
        nvim.until_on_screen("42 + 1")


def test_our_ghost_text_in_a_neovim_that_has_its_own(tmp_path: Path) -> None:
    with proposing(tmp_path, "0.12", "ghost_text = 'own'") as nvim:
        assert nvim.lua("return require('egate.ghost').backend().name") == "ghost text of its own"
        assert nvim.screen()[0] == "x = 42 + 1"  # once, not twice


def test_a_neovim_with_an_inline_completion_that_we_do_not_know(tmp_path: Path) -> None:
    file = opened(tmp_path, "x = \n")
    init = "require('vim.lsp._capability').all.inline_completion.get_item = nil\n"
    init = "vim.lsp.inline_completion.is_enabled()\n" + init
    init += ordinary_init(tmp_path, script(tmp_path, ("x = 4", [("2 + 1\n", 0.1)])))
    with neovim(tmp_path, file, version="0.12", init=init) as nvim:
        nvim.keys("A4")
        nvim.until_on_screen("42 + 1")
        assert "WARNING vim.lsp.inline_completion is another than this plug-in knows" in health(nvim)


def test_the_help_file_has_tags_for_all_there_is(tmp_path: Path, version: str) -> None:
    shutil.copytree(PLUGIN / "doc", tmp_path / "doc")
    command = [executable(version), "--headless", "--clean", "-c", f"helptags {tmp_path / 'doc'}", "-c", "qall"]
    result = subprocess.run(command, capture_output=True, check=True)
    assert result.stderr == b""
    tags = {line.split("\t")[0] for line in (tmp_path / "doc" / "tags").read_text().splitlines()}
    page = (PLUGIN / "doc" / "egate.txt").read_text()

    assert ":Egate" in tags
    own = set(re.findall(r"\|((?:egate|<Plug>)[^|\s]*)\|", page))
    assert own - tags == set()  # no link leads nowhere
    source = (PLUGIN / "lua" / "egate" / "commands.lua").read_text()
    commands = re.findall(r"^  (?:\['([a-z-]+)'\]|([a-z]+)) = \{", source.partition("M.all = {")[2], re.MULTILINE)
    names = {one or other for one, other in commands}
    assert {"toggle-language", "why", "accept"} <= names
    assert [name for name in names if not re.search(rf"^:Egate \[?{name}\b", page, re.MULTILINE)] == []
    options = set(re.findall(r"---@field (\w+)\?", (PLUGIN / "lua" / "egate" / "config.lua").read_text()))
    assert [name for name in options if f"`{name}`" not in page] == []
    public = re.findall(r"^function M\.(\w+)\(", (PLUGIN / "lua" / "egate" / "init.lua").read_text(), re.MULTILINE)
    internal = {"take", "act", "define", "on_upgraded"}
    assert [name for name in public if name not in internal and f"egate.{name}()" not in tags] == []


def test_every_lua_file_is_sound(version: str) -> None:
    files = sorted(PLUGIN.rglob("*.lua"))
    assert len(files) > 10
    check = f"for _, file in ipairs({json.dumps([str(file) for file in files])}) do assert(loadfile(file)) end"
    check = check.replace("[", "{").replace("]", "}")
    command = [executable(version), "--headless", "--clean", "+lua " + check, "+qall"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)

    assert result.stderr == ""
