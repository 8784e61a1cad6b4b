from __future__ import annotations

import os
from pathlib import Path

import pytest

from egate_lsp.config import resolve
from egate_lsp.consent import Consents
from egate_lsp.terms import Terms


def terms(*folders: Path, consents: Consents | None = None, **tables) -> Terms:
    settings, problems = resolve([("test", tables)])
    assert problems == []
    made = Terms(settings, consents or Consents(None))
    made.folders = tuple(map(str, folders))
    return made


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "ws"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "a.py").write_text("")
    return folder


def test_an_ordinary_file_may_leave(workspace: Path) -> None:
    assert terms(workspace).permission(str(workspace / "src" / "a.py"), "python").verdict == "yes"
    assert terms().permission("/anywhere/a.py", "python").verdict == "yes"
    assert terms(workspace).permission("Untitled-1", "python").verdict == "yes"


@pytest.mark.parametrize("name", [".env", ".ENV", "ID_RSA", "deploy/prod.PEM", ".ssh/config"])
def test_names_that_never_leave(workspace: Path, name: str) -> None:
    permission = terms(workspace).permission(str(workspace / name), "")

    assert (permission.verdict, permission.reason) == ("no", "this file matches privacy.never_send")


def test_a_link_is_what_it_leads_to(workspace: Path, tmp_path: Path) -> None:
    outside = tmp_path / "home" / "notes.py"
    outside.parent.mkdir()
    outside.write_text("")
    key = tmp_path / "home" / "id_rsa"
    key.write_text("")
    (workspace / "notes.py").symlink_to(outside)
    (workspace / "b.py").symlink_to(key)
    (workspace / "home").symlink_to(outside.parent)
    (workspace / "c.py").symlink_to(workspace / "src" / "a.py")

    for name in ("notes.py", "b.py", "home/notes.py", "../home/notes.py"):
        assert terms(workspace).permission(str(workspace / name), "").verdict == "no", name
    assert terms(workspace).permission(str(workspace / "c.py"), "").verdict == "yes"
    sent = terms(workspace, privacy={"outside_workspace": "send"})
    assert sent.permission(str(workspace / "notes.py"), "").verdict == "yes"
    assert sent.permission(str(workspace / "b.py"), "").verdict == "no"


def test_a_workspace_behind_a_link_is_the_workspace(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(workspace)

    assert terms(tmp_path / "link").permission(str(workspace / "src" / "a.py"), "").verdict == "yes"
    assert terms(workspace).permission(str(tmp_path / "link" / "src" / "a.py"), "").verdict == "yes"


@pytest.mark.parametrize("path", ["git:/ws/.env?{ref}", "git:/ws/src/a.py", "output:log", "ssh://host/ws/a.py"])
def test_what_is_no_file_of_the_workspace_stays(workspace: Path, path: str) -> None:
    assert terms(workspace).permission(path, "").verdict == "no"


def test_a_file_that_git_ignores_stays(workspace: Path) -> None:
    (workspace / ".gitignore").write_text("local*.py\n")
    path = str(workspace / "src" / "local_settings.py")

    assert terms(workspace).permission(path, "").reason == "git ignores this file (privacy.gitignored)"
    assert terms(workspace, privacy={"gitignored": "send"}).permission(path, "").verdict == "yes"


def test_a_negated_pattern_frees_no_file_that_never_leaves(workspace: Path) -> None:
    (workspace / ".gitignore").write_text("!.env\n!*\n")

    assert terms(workspace).permission(str(workspace / ".env"), "").verdict == "no"


def test_the_nearest_word_counts(workspace: Path) -> None:
    known = terms(
        workspace,
        policy={
            "target": "off",
            "languages": {"python": "auto"},
            "folders": {str(workspace): "off", str(workspace / "src"): "auto"},
            "globs": {"*.sql": "off", "*.py": "auto", "secret_*": "off", "z*.py": "ask"},
        },
    )

    def verdict(name: str, language: str) -> str:
        return known.permission(str(workspace / name), language).verdict

    assert verdict("a.py", "python") == "yes"  # the glob before the folder
    assert verdict("a.txt", "python") == "no"  # the folder before the language
    assert verdict("src/a.txt", "text") == "yes"  # the inner folder before the outer
    assert verdict("src/a.sql", "sql") == "no"
    assert verdict("secret_plan.py", "python") == "no"  # of two globs the stricter
    assert verdict("zoo.py", "python") == "ask"
    assert terms(policy={"target": "off", "languages": {"go": "auto"}}).permission("/x/a.go", "go").verdict == "yes"


def test_home_in_a_folder_is_the_users_home(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(workspace))

    known = terms(policy={"folders": {"~/src": "off"}})
    assert known.permission(str(workspace / "src" / "a.py"), "").verdict == "no"


def test_answers_hold_for_their_folder(workspace: Path, tmp_path: Path) -> None:
    state = tmp_path / "state" / "consents.json"
    consents = Consents(state)
    known = terms(workspace, consents=consents, policy={"target": "ask"})
    path = str(workspace / "src" / "a.py")
    asked = known.permission(path, "")
    assert (asked.verdict, asked.folder) == ("ask", os.path.realpath(workspace))

    consents.answer(asked.folder, "session")
    assert known.permission(path, "").verdict == "yes"
    assert not state.exists()
    consents.answer(asked.folder, "never")
    assert known.permission(path, "").verdict == "no"

    later = terms(workspace, consents=Consents(state), policy={"target": "ask"})
    assert later.permission(path, "").verdict == "no"
    Consents(state).answer(asked.folder, "always")
    later = terms(workspace, consents=Consents(state), policy={"target": "ask"})
    assert later.permission(path, "").verdict == "yes"
    assert state.is_relative_to(tmp_path / "state")


@pytest.mark.parametrize("content", ["", "[]", '{"/ws": "always"}', "\x00"])
def test_a_broken_file_of_answers_is_no_answer(tmp_path: Path, content: str) -> None:
    path = tmp_path / "consents.json"
    path.write_text(content)

    assert Consents(path).of("/ws") is None
