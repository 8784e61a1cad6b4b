"""A real Emacs in batch mode with the real lsp-mode or Eglot, as Debian packages them (elpa-lsp-mode, elpa-eglot)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "editors" / "emacs"
PACKAGES = Path("/usr/share/emacs/site-lisp/elpa")
PATIENCE_S = 120.0
MARK = "RESULT "

PRELUDE = """
(setq make-backup-files nil auto-save-default nil create-lockfiles nil
      user-emacs-directory {home} gc-cons-threshold 100000000 inhibit-message nil
      lsp-session-file {session} lsp-auto-guess-root t lsp-enable-snippet nil lsp-warn-no-matched-clients nil
      lsp-enable-file-watchers nil lsp-keep-workspace-alive nil lsp-response-timeout 60 lsp-log-io nil
      eglot-autoshutdown t eglot-sync-connect 60 eglot-connect-timeout 60)
;; -Q leaves out what an installed package's autoloads do.
(dolist (name '("lsp-mode-autoloads" "eglot-autoloads")) (load name t t))
(defun test-until (what condition)
  "Let processes speak until CONDITION holds."
  (let ((end (+ (float-time) 60)))
    (while (not (funcall condition))
      (when (> (float-time) end) (error "Never: %s" what))
      (accept-process-output nil 0.02))))
;; What a completion menu (company, corfu) does with the one candidate that is offered; nil if there is none.
(defun test-take (capf)
  (let* ((offered (funcall capf))
         (beg (nth 0 offered)) (end (nth 1 offered)) (table (nth 2 offered))
         (exit (plist-get (nthcdr 3 offered) :exit-function))
         (candidates (all-completions (buffer-substring beg end) table)))
    (when candidates
      (unless (null (cdr candidates)) (error "More than one candidate: %S" candidates))
      (delete-region beg end) (goto-char beg) (insert (car candidates))
      (when exit (funcall exit (car candidates) 'finished))
      t)))
(defun test-result (value)
  (princ (concat {mark} (json-serialize value :null-object :null :false-object :false) "\\n")))
"""


def executable() -> str:
    """Emacs, or the test is skipped."""
    found = shutil.which("emacs")
    if found is None:
        pytest.skip("no Emacs here: apt-get install emacs-nox elpa-lsp-mode elpa-eglot")
    return found


def packages(wanted: str) -> list[str]:
    """Load path arguments; skips the test where a package is absent. `EMACS_TEST_PATH` adds folders, first."""
    own = [folder for folder in os.environ.get("EMACS_TEST_PATH", "").split(os.pathsep) if folder]
    folders = [*own, *(str(path) for path in sorted(PACKAGES.glob("*")) if path.is_dir())]
    if not any(Path(folder, f"{wanted}.el").is_file() or Path(folder, f"{wanted}.elc").is_file() for folder in folders):
        pytest.skip(f"no {wanted} here: apt-get install elpa-{wanted}, or EMACS_TEST_PATH=folder")
    return [argument for folder in folders for argument in ("-L", folder)]


def run(tmp_path: Path, wanted: str, *forms: str) -> list[Any]:
    """What the forms gave to `test-result`, in order. Emacs must end well."""
    quoted = {
        "home": json.dumps(str(tmp_path / "emacs.d/")),
        "session": json.dumps(str(tmp_path / "session")),
        "mark": json.dumps(MARK),
    }
    code = tmp_path / "test.el"
    code.write_text(";; -*- lexical-binding: t; -*-\n" + PRELUDE.format(**quoted) + "\n".join(forms), encoding="utf-8")
    done = subprocess.run(
        [executable(), "--batch", "-Q", *packages(wanted), "-l", str(code)],
        capture_output=True, text=True, timeout=PATIENCE_S, cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return [
        json.loads(line.removeprefix(MARK))
        for line in done.stdout.replace("\a", "").splitlines()
        if line.startswith(MARK)
    ]


def command(tmp_path: Path) -> str:
    """The server's command as a Lisp list of strings."""
    words = [sys.executable, "-m", "egate_lsp", "serve", "--log-file", str(tmp_path / "server.log")]
    return "(" + " ".join(json.dumps(word) for word in words) + ")"


def plist(table: dict[str, Any]) -> str:
    """Settings as a property list in Lisp."""
    return "(" + " ".join(f":{key} {_lisp(value)}" for key, value in table.items()) + ")"


def _lisp(value: Any) -> str:
    if isinstance(value, dict):
        return plist(value)
    if isinstance(value, bool):
        return "t" if value else ":json-false"
    return json.dumps(value)
