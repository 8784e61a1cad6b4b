"""A real Emacs with the real lsp-mode, Eglot or, where there is a newer lsp-mode, its inline completion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import model_file
from tests.e2e.wire import script
from tests.editors import emacs
from tests.editors.playing import nobody

pytestmark = pytest.mark.editor

SURE = [("rn 42", 0.1), ("\n", 0.1)]
CONNECTED = """
(test-until "connected" (lambda () (and (lsp-workspaces)
  (eq 'initialized (lsp--workspace-status (car (lsp-workspaces)))))))
(test-until "ready" (lambda () (equal "ready" (and egate-status (gethash "state" egate-status)))))
"""
TAKE = "(test-take #'lsp-completion-at-point)"
BYE = "(lsp-workspace-shutdown (car (lsp-workspaces)))"


def project(tmp_path: Path, text: str) -> Path:
    (tmp_path / "project" / ".git").mkdir(parents=True)
    file = tmp_path / "project" / "sample.py"
    file.write_text(text, encoding="utf-8")
    return file


def lsp_mode(tmp_path: Path, text: str, settings: dict[str, Any], *forms: str, ready: str = CONNECTED) -> list[Any]:
    """Forms in a buffer that lsp-mode has connected by our egate.el, point behind "retu"."""
    opened = f"""
    (setq lsp-enabled-clients '(egate))
    (load {json.dumps(str(emacs.FOLDER / "egate.el"))} nil t)
    (setq egate-command '{emacs.command(tmp_path)} egate-settings '{emacs.plist(settings)})
    (find-file {json.dumps(str(project(tmp_path, text)))})
    (goto-char (point-min)) (search-forward "retu")
    (lsp)
    """
    return emacs.run(tmp_path, "lsp-mode", opened, ready, *forms, BYE)


TEXT = "def answer():\n    retu\n\nprint(answer())\n"
FULL = TEXT.replace("retu", "return 42")


def test_lsp_mode_completes_and_reports_the_acceptance(tmp_path: Path) -> None:
    settings = script(tmp_path, ("    retu", SURE))
    text, stats = lsp_mode(
        tmp_path, TEXT, settings,
        TAKE,
        "(test-result (buffer-string))",
        '(test-result (egate--command "egate.stats"))',
    )  # fmt: skip

    assert text == FULL
    assert stats["accepted"] == 1


def test_lsp_mode_toggles_and_shows_the_state(tmp_path: Path) -> None:
    settings = script(tmp_path, ("    retu", SURE))
    line, off, text, on, again = lsp_mode(
        tmp_path, TEXT, settings,
        "(test-result (egate-mode-line))",
        "(test-result (egate-toggle))",
        TAKE,
        "(test-result (buffer-string))",
        "(test-result (egate-toggle))",
        TAKE,
        "(test-result (buffer-string))",
    )  # fmt: skip

    assert (line, off, on) == (" egate", "egate-lsp: off", "egate-lsp: on")
    assert text == TEXT
    assert again == FULL


def test_lsp_mode_pauses_the_target(tmp_path: Path) -> None:
    settings = {**script(tmp_path, ("    retu", SURE)), "target": nobody()}
    answers = lsp_mode(
        tmp_path, TEXT, settings, "(test-result (egate-pause-target))", "(test-result (egate-pause-target))"
    )

    assert answers == ["egate-lsp: target paused", "egate-lsp: target in use"]


def test_lsp_mode_tells_why(tmp_path: Path) -> None:
    settings = script(tmp_path, ("    retu", SURE))
    (why,) = lsp_mode(
        tmp_path, TEXT, settings,
        TAKE,
        "(egate-why)",
        '(test-result (with-current-buffer "*egate why*" (buffer-string)))',
    )  # fmt: skip

    assert "draft" in why
    assert "return 42" in why or "rn 42" in why


def test_lsp_mode_is_told_of_a_missing_model(tmp_path: Path) -> None:
    ready = """(test-until "error" (lambda () (equal "error" (and egate-status (gethash "state" egate-status)))))"""
    line, warning = lsp_mode(
        tmp_path, TEXT, {"models": {"cache_dir": str(tmp_path / "empty")}},
        TAKE,
        "(test-result (egate-mode-line))",
        """(test-result (format "%s %s" (gethash "reason" egate-status) (gethash "hint" egate-status)))""",
        ready=ready,
    )  # fmt: skip

    assert line == " egate:error"
    assert "egate-lsp models pull" in warning


def test_a_missing_server_is_named(tmp_path: Path) -> None:
    (said,) = emacs.run(
        tmp_path, "lsp-mode",
        "(setq lsp-enabled-clients '(egate))",
        f"(load {json.dumps(str(emacs.FOLDER / 'egate.el'))} nil t)",
        "(setq egate-command '(\"no-such-egate-lsp\" \"serve\"))",
        f"(find-file {json.dumps(str(project(tmp_path, TEXT)))})",
        "(lsp)",
        """(test-result (with-current-buffer "*Warnings*" (buffer-string)))""",
    )  # fmt: skip

    assert "there is no program no-such-egate-lsp" in said
    assert "pipx install egate-lsp" in said


def test_eglot_completes(tmp_path: Path) -> None:
    settings = script(tmp_path, ("    retu", SURE))
    (tmp_path / "config.toml").write_text(f'[draft]\nmodel = "{settings["draft"]["model"]}"\n', encoding="utf-8")
    (text,) = emacs.run(
        tmp_path, "eglot",
        f'(setenv "EGATE_LSP_CONFIG" {json.dumps(str(tmp_path / "config.toml"))})',
        f"(load {json.dumps(str(emacs.FOLDER / 'egate-eglot.el'))} nil t)",
        # The file's own entry, its command replaced by the one under test.
        f"(setcdr (assoc egate-eglot-modes eglot-server-programs) '{emacs.command(tmp_path)})",
        f"(find-file {json.dumps(str(project(tmp_path, TEXT)))})",
        "(conf-mode)",
        '(goto-char (point-min)) (search-forward "retu")',
        "(apply #'eglot (eglot--guess-contact))",
        "(test-take #'eglot-completion-at-point)",
        "(test-result (buffer-string))",
        "(eglot-shutdown (eglot-current-server))",
    )  # fmt: skip

    assert text == FULL


def test_ghost_text_by_lsp_mode(tmp_path: Path) -> None:
    """With the inline completion of lsp-mode 9.0.1 or newer; Debian's 8.0.0 has none."""
    emacs.packages("lsp-inline-completion")
    settings = script(tmp_path, ("    retu", SURE))
    shown, text, stats = lsp_mode(
        tmp_path, TEXT, settings,
        "(lsp-inline-completion-display)",
        "(test-result (overlay-get lsp-inline-completion--overlay 'after-string))",
        "(lsp-inline-completion-accept)",
        "(test-result (buffer-string))",
        '(test-result (egate--command "egate.stats"))',
    )  # fmt: skip

    assert shown == "rn 42"
    assert text == FULL
    assert stats["accepted"] == 1


@pytest.mark.parametrize("name", ["egate.el", "egate-eglot.el"])
def test_the_file_compiles_without_a_warning(tmp_path: Path, name: str) -> None:
    copy = tmp_path / name
    copy.write_bytes((emacs.FOLDER / name).read_bytes())
    (warnings,) = emacs.run(
        tmp_path, "lsp-mode",
        "(require 'bytecomp)",
        f"(byte-compile-file {json.dumps(str(copy))})",
        """(test-result (if (get-buffer "*Compile-Log*")
                            (with-current-buffer "*Compile-Log*" (buffer-string)) ""))""",
    )  # fmt: skip

    assert "Warning" not in warnings
    assert "Error" not in warnings


def test_the_copilot_file_starts_our_server(tmp_path: Path) -> None:
    """copilot.el runs `copilot-server-executable` with `copilot-server-args`; here they are run as it does."""
    from egate_lsp.cli import main

    ((program, arguments),) = emacs.run(
        tmp_path, "lsp-mode",
        f"(load {json.dumps(str(emacs.FOLDER / 'egate-copilot.el'))} nil t)",
        "(test-result (vector copilot-server-executable (apply #'vector copilot-server-args)))",
    )  # fmt: skip

    assert program == "egate-lsp"
    context = main.make_context(program, list(arguments))
    name, serve, rest = main.resolve_command(context, list(arguments))
    assert name == "serve"
    assert serve is not None
    assert serve.make_context(name, rest).params["stdio"] is True


@pytest.mark.live
def test_with_the_real_draft(tmp_path: Path) -> None:
    model = model_file("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf")
    settings = {"models": {"cache_dir": str(model.parent)}, "cascade": {"deadline_ms": 60_000}}
    text = 'def add(a, b):\n    """The sum of a and b."""\n    retu\n\n\nprint(add(1, 2))\n'
    (got,) = lsp_mode(tmp_path, text, settings, TAKE, "(test-result (buffer-string))")

    assert got == text.replace("retu", "return a + b")
