"""Takes the pictures of docs/images: what real Neovims drew, with the real draft model.

    python -m tests.editors.neovim_pictures

needs tmux, Debian's chromium, and the draft model in the user's cache.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tests.conftest import model_file
from tests.editors.neovim import PLUGIN, executable

IMAGES = Path(__file__).parents[2] / "docs" / "images"
ROWS, COLUMNS = 18, 88
PATIENCE_S = 240.0
FILE = '''\
import statistics


def median(values: list[float]) -> float:
    """The middle one of the values; of two, their mean."""


print(median([3.0, 1.0, 2.0]) == statistics.median([3.0, 1.0, 2.0]))
'''
HOLE = 6  # the line that is written


class Terminal:
    """A Neovim in tmux."""

    def __init__(self, version: str, folder: Path, model: Path) -> None:
        self.socket = str(folder / "tmux")
        init = folder / "init.lua"
        settings = {"models": {"cache_dir": str(model.parent)}, "cascade": {"deadline_ms": 60_000}}
        init.write_text(
            f"""
            vim.opt.runtimepath:prepend({json.dumps(str(PLUGIN))})
            vim.o.swapfile, vim.o.shada, vim.o.termguicolors, vim.o.laststatus = false, '', true, 2
            vim.o.ruler, vim.o.showcmd, vim.o.background, vim.o.number = false, false, 'dark', true
            vim.o.statusline = " %t %m%= %{{%v:lua.require'egate'.statusline()%}} "
            require('egate').setup({{
              cmd = {{ {json.dumps(sys.executable)}, '-m', 'egate_lsp', 'serve' }},
              settings = vim.json.decode([[{json.dumps(settings)}]]),
              keys = {{ accept = '<Tab>' }},
            }})
            """
        )
        (folder / "settings.py").write_text(FILE)
        command = f"cd {folder} && {executable(version)} --clean -u {init} settings.py"
        self.tmux("new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS), command)
        self.tmux("set-option", "-g", "status", "off")
        self.tmux("set-option", "-ga", "terminal-overrides", ",*:Tc")

    def tmux(self, *arguments: str) -> str:
        command = ["tmux", "-f", "/dev/null", "-S", self.socket, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def keys(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def until(self, *texts: str) -> None:
        """Wait until the screen shows one of the texts."""
        deadline = time.monotonic() + PATIENCE_S
        while not any(text in (screen := self.tmux("capture-pane", "-p")) for text in texts):
            if time.monotonic() > deadline:
                raise TimeoutError(f"never saw {texts}:\n{screen}")
            time.sleep(0.1)

    def picture(self, name: str, title: str) -> None:
        """The screen as docs/images/NAME.png."""
        ansi = self.tmux("capture-pane", "-e", "-p", "-N")
        console = Console(record=True, width=COLUMNS, file=tempfile.TemporaryFile("w"), force_terminal=True)  # noqa: SIM115
        console.print(Text.from_ansi(ansi.rstrip("\n")), no_wrap=True, crop=True)
        IMAGES.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "page.html"
            svg = console.export_svg(title=title)
            page.write_text(f"<meta charset=utf-8><style>body{{margin:0}}svg{{width:1100px}}</style>{svg}")
            box = svg.partition('viewBox="0 0 ')[2].partition('"')[0].split()
            height = round(1100 * float(box[1]) / float(box[0]))
            subprocess.run(
                ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                 "--disable-component-update", "--disable-sync", "--no-first-run", f"--user-data-dir={folder}/profile",
                 "--hide-scrollbars", f"--window-size=1100,{height}", f"--screenshot={IMAGES / name}.png",
                 page.as_uri()],
                check=True, capture_output=True,
            )  # fmt: skip


def main() -> None:
    model = model_file("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf")
    for version in ("0.12", "0.11"):
        with tempfile.TemporaryDirectory() as folder:
            terminal = Terminal(version, Path(folder), model)
            try:
                terminal.until("egate: ready")
                terminal.keys(f"{HOLE}GO", "Space", "Space", "Space", "Space")
                terminal.until("return")
                terminal.until("egate: ready")
                terminal.picture(f"neovim-{version}", f"Neovim {version}")
                terminal.keys("C-o", ":Egate why", "Enter")
                terminal.until("why this suggestion")
                terminal.picture(f"neovim-{version}-why", f"Neovim {version}: why this suggestion")
            finally:
                terminal.tmux("kill-server")


if __name__ == "__main__":
    main()
