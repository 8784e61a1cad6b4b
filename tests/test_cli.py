from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from egate_lsp.cli import _COMMANDS, main
from egate_lsp.cli.settings import load


def run(tmp_path: Path, *arguments: str, config: str = "", script: list[Any] | None = None) -> Any:
    """A command, with a scripted draft set in the user's file."""
    rules = tmp_path / "script.json"
    rules.write_text(json.dumps(script or [{"after": "", "tokens": [["return", 0.1], [" 42", 5.0], ["\n", 0.1]]}]))
    path = tmp_path / "config.toml"
    path.write_text(config or f'[draft]\nmodel = "scripted:{rules}"\n')
    return CliRunner().invoke(main, list(arguments), env={"EGATE_LSP_CONFIG": str(path)})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "sample.py"
    path.write_text("# 😀\ndef answer():\n    \n", encoding="utf-8")
    return path


@pytest.mark.parametrize("command", [[], *([name] for name in _COMMANDS), ["models", "pull"], ["bench", "engine"]])
def test_help_everywhere(tmp_path: Path, command: list[str]) -> None:
    result = run(tmp_path, *command, "--help")

    assert result.exit_code == 0
    assert "Usage: " in result.output


def test_version(tmp_path: Path) -> None:
    assert "egate-lsp, version " in run(tmp_path, "--version").output


def test_complete_as_json(tmp_path: Path, source: Path) -> None:
    result = run(tmp_path, "complete", str(source), "--line", "3", "--column", "4", "--json")
    report = json.loads(result.output)

    assert result.exit_code == 0
    assert report["text"] == "return 42"
    assert report["range"] == {"start": {"line": 2, "character": 4}, "end": {"line": 2, "character": 4}}
    assert report["lines"][0]["source"] == "draft"
    assert report["lines"][0]["text"] == "return 42"
    assert report["lines"][0]["score"] == pytest.approx(1 - (1 - 5.0 / 6.9078) * (1 - 0.1 / 6.9078) ** 2, abs=1e-3)
    assert any("no target" in reason for reason in report["lines"][0]["reasons"])
    assert report["requests"] == []
    assert report["timing_ms"]["total"] > 0


def test_complete_explains_the_project_note(tmp_path: Path, source: Path) -> None:
    (source.parent / ".egate").mkdir()
    (source.parent / ".egate" / "context.md").write_text("We log by structlog.\n")
    options = ("--line", "3", "--column", "4", "--explain", "--set", 'context.sources=["project-note"]')
    result = run(tmp_path, "complete", str(source), *options)

    assert "project note: .egate/context.md" in result.stdout
    assert "# We log by structlog." in result.stdout


def test_complete_for_a_person(tmp_path: Path, source: Path) -> None:
    result = run(tmp_path, "complete", str(source), "--line", "3", "--column", "4")

    assert result.exit_code == 0
    assert "return 42" in result.output
    assert "draft" in result.output
    assert "requests: none" in result.output


def test_complete_explained(tmp_path: Path, source: Path) -> None:
    place = f"{source}:3:4"
    page = tmp_path / "why.html"
    told = run(tmp_path, "complete", place, "--explain", "--html", str(page), "--set", "gate.tau=0.3")

    assert told.exit_code == 0
    assert "verdict defer" in told.output
    assert "least certain" in told.output
    assert "but there is no target to ask" in page.read_text(encoding="utf-8")
    written = run(tmp_path, "complete", place, "--html", str(page), "--json")
    assert json.loads(written.stdout)["lines"][0]["verdict"] == "defer"


@pytest.mark.parametrize(
    ("spot", "options"),
    [
        ("", []),
        ("", ["--line", "3"]),
        (":0:0", []),
        (":3:4", ["--line", "3"]),
        (":3:4", ["--json", "--explain"]),
        (":3", []),
    ],
)
def test_a_place_must_be_given_once(tmp_path: Path, source: Path, spot: str, options: list[str]) -> None:
    assert run(tmp_path, "complete", f"{source}{spot}", *options).exit_code == 2


def test_a_page_that_cannot_be_written(tmp_path: Path, source: Path) -> None:
    result = run(tmp_path, "complete", f"{source}:3:4", "--html", str(tmp_path / "absent" / "why.html"))

    assert result.exit_code == 1
    assert "cannot be written" in result.output


def test_a_file_may_have_colons_in_its_name(tmp_path: Path, source: Path) -> None:
    odd = tmp_path / "sample.py:3:4"
    odd.write_text("x = ", encoding="utf-8")
    result = run(tmp_path, "complete", str(odd), "--line", "1", "--column", "4", "--json")

    assert json.loads(result.stdout)["range"]["start"] == {"line": 0, "character": 4}


def test_an_override(tmp_path: Path, source: Path) -> None:
    place = ("complete", str(source), "--line", "3", "--column", "4")
    result = run(tmp_path, *place, "--json", "--set", "gate.tau=0.9", "--set", "gate.score=mean")

    assert "mean surprisal" in json.loads(result.output)["lines"][0]["reasons"][0]
    wrong = run(tmp_path, *place, "--set", "gate.tau=high")
    assert wrong.exit_code == 1
    assert "gate.tau" in wrong.output
    assert run(tmp_path, *place, "--set", "nonsense").exit_code == 1


def test_the_defaults_of_complete_hold_for_tiers_too(tmp_path: Path, source: Path, monkeypatch) -> None:
    monkeypatch.setenv("EGATE_LSP_CONFIG", str(tmp_path / "config.toml"))
    elsewhere = 'base_url = "http://127.0.0.1:9/v1"'
    tiers = f"""
[[tiers]]
model = "scripted:{tmp_path / "script.json"}"
[[tiers]]
model = "big"
{elsewhere}
timeout_s = 3
[[tiers]]
model = "bigger"
{elsewhere}
"""
    result = run(tmp_path, "complete", str(source), "--line", "3", "--column", "4", config=tiers)
    settings = load([], {"draft": {"first_text_ms": 0}, "target": {"timeout_s": 60}})

    assert (result.exit_code, result.stderr) == (0, "")
    assert settings.draft.first_text_ms == 0
    assert [rung.target.timeout_s for rung in settings.rungs() if rung.target] == [3, 60]
    given = load(['tiers=[{model="a"}]'], {"draft": {"first_text_ms": 0}})
    assert (given.draft.model, given.draft.first_text_ms) == ("a", 0)


def test_what_cannot_be_completed_says_why(tmp_path: Path, source: Path) -> None:
    config = f'[models]\ncache_dir = "{tmp_path}/none"\n'
    missing = run(tmp_path, "complete", str(source), "--line", "1", "--column", "0", config=config)
    assert missing.exit_code == 1
    assert "egate-lsp models pull" in missing.output
    binary = tmp_path / "binary.py"
    binary.write_bytes(b"\xff\xfe\x00")
    unreadable = run(tmp_path, "complete", str(binary), "--line", "1", "--column", "0")
    assert unreadable.exit_code == 1
    assert "UTF-8" in unreadable.output
    assert run(tmp_path, "complete", str(tmp_path / "absent"), "--line", "1", "--column", "0").exit_code == 2
    assert run(tmp_path, "complete", str(source), "--line", "0", "--column", "0").exit_code == 2


def test_doctor_names_what_is_broken_and_how_to_mend_it(tmp_path: Path) -> None:
    config = f'[gate]\ntau = "high"\n[models]\ncache_dir = "{tmp_path}/none"\n'
    result = run(tmp_path, "doctor", "--json", config=config)
    findings = {finding["name"]: finding for finding in json.loads(result.stdout)}

    assert result.exit_code == 1
    assert findings["configuration"]["outcome"] == "broken"
    assert "gate.tau" in findings["configuration"]["detail"]
    assert findings["draft model"]["outcome"] == "broken"
    assert "models pull" in findings["draft model"]["hint"]
    assert "nothing leaves this machine" in findings["target"]["detail"]


def test_doctor_and_a_target_that_is_not_there(tmp_path: Path) -> None:
    result = run(tmp_path, "doctor", "--set", "target.base_url=http://127.0.0.1:9/v1", "--set", "target.api=suffix")

    assert result.exit_code == 1
    assert "Nothing answers at http://127.0.0.1:9/v1" in result.output


def test_the_server_starts_without_the_heavy_libraries(tmp_path: Path) -> None:
    """What makes it answer `initialize` early: nothing of the models is imported before it is needed."""
    import subprocess
    import sys

    heavy = ("pydantic", "numpy", "openai", "llama_cpp", "rich", "httpx2", "filelock")
    code = (
        "import egate_lsp.cli.serve, egate_lsp.server, egate_lsp.transport, sys;"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert out.stdout.strip() == "[]"
