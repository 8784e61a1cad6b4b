"""A workspace on a disk that does not answer: completions go on, and nothing of it leaves."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from egate_lsp import gathering, service
from egate_lsp.service import Service
from egate_lsp.values import Snapshot
from tests.test_hostile_workspace import configured, listening


class Disk:
    """The file system below a folder, which hangs until it is let go on. Looked at from the event loop it is an error.

    Attributes:
        waiting: threads that wait for it now.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._folder = str(folder)
        self._answers = threading.Event()
        self.waiting = 0
        for module, name in ((os.path, "realpath"), (os, "stat"), (os, "lstat"), (os.path, "lexists")):
            monkeypatch.setattr(module, name, self._slow(getattr(module, name)))

    def _slow(self, function):
        def slow(path, *arguments, **named):
            if isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self._folder):
                assert threading.current_thread() is not threading.main_thread(), "looked at on the event loop"
                self.waiting += 1
                self._answers.wait(60)
                self.waiting -= 1
            return function(path, *arguments, **named)

        return slow

    def answer(self) -> None:
        self._answers.set()


async def test_completions_go_on_and_stay_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "TERMS_PATIENCE_S", 0.02)
    monkeypatch.setattr(gathering, "SIEVE_PATIENCE_S", 0.02)
    workspace = tmp_path / "ws"
    (workspace / ".egate").mkdir(parents=True)
    (workspace / ".egate" / "context.md").write_text("a note\n")
    async with listening() as listener:
        subject = Service(configured(tmp_path, listener, context={"sources": ["project-note"]}))
        subject.work_in([str(workspace)])
        try:
            async with asyncio.timeout(30):
                await subject.start()
                disk = Disk(monkeypatch, workspace)
                answers = [
                    await subject.complete(
                        Snapshot(f"x{n} = \n", 5, str(workspace / f"{n}.py"), "python"), invoked=bool(n % 2)
                    )
                    for n in range(3)
                ]
                assert listener.connections == 0
                assert disk.waiting > 0
                disk.answer()
                later = Snapshot("y = \n", 4, str(workspace / "y.py"), "python")
                await subject.complete(later, invoked=True)
                assert listener.connections > 0
        finally:
            disk.answer()
            await subject.aclose()

    assert {answer.text for answer in answers} == {"draft"}
    assert {answer.note for answer in answers} == {
        "it is not known in time whether this file may leave: the disk does not answer: models of this machine only"
    }
