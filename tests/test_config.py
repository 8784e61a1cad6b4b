from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.config import Settings, read_user_file, resolve

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
SECTIONS = list(Settings.model_fields)


def test_no_source_gives_the_defaults() -> None:
    assert resolve([]) == (Settings(), [])


def test_later_sources_win_key_by_key() -> None:
    settings, problems = resolve(
        [("user file", {"gate": {"tau": 0.3, "score": "mean"}}), ("editor", {"gate": {"tau": 0.5}})]
    )

    assert problems == []
    assert (settings.gate.tau, settings.gate.score) == (0.5, "mean")


def test_camel_case_keys_are_the_same_keys() -> None:
    settings, problems = resolve([("editor", {"draft": {"maxLines": 3}, "target": {"baseUrl": "http://x/v1"}})])

    assert problems == []
    assert settings.draft.max_lines == 3
    assert settings.target.base_url == "http://x/v1"


@pytest.mark.parametrize(
    ("table", "key", "words"),
    [
        ({"gate": {"tau": "high"}}, "gate.tau", "number"),
        ({"gate": {"tau": -1}}, "gate.tau", "greater than or equal to 0"),
        ({"gate": {"tau": math.nan}}, "gate.tau", "got nan"),
        ({"gate": {"score": "best"}}, "gate.score", "'first', 'opening' or 'learned'"),
        ({"gate": {"treshold": 1}}, "gate.treshold", "is not a setting"),
        ({"draft": 7}, "draft", "dictionary"),
        ({"draft": {"max_lines": 0}}, "draft.max_lines", "greater than or equal to 1"),
        ({"models": {"custom": {"mine": {"sha256": "zz"}}}}, "models.custom.mine.sha256", "match"),
        ([], "", "expects a table"),
    ],
)
def test_a_wrong_key_is_named_with_what_it_expects_and_the_rest_is_used(table, key, words) -> None:
    if isinstance(table, dict):
        table = {**table, "log_level": "debug"}
    settings, problems = resolve([("editor", table)])

    assert [problem.key for problem in problems] == [key]
    assert words in str(problems[0])
    assert settings.log_level == ("debug" if isinstance(table, dict) else "info")


@given(st.dictionaries(st.sampled_from([*SECTIONS, "x"]), JSON, max_size=4))
def test_no_table_is_ever_an_exception(table) -> None:
    settings, _ = resolve([("editor", table)])

    assert isinstance(settings, Settings)


@pytest.mark.parametrize(
    ("content", "words"), [(b"gate = [", "not valid TOML"), (b"\xff\xfe", "not UTF-8"), (None, "cannot be read")]
)
def test_a_broken_user_file_is_a_problem(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "config.toml"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)

    table, problems = read_user_file(path)

    assert table == {}
    assert words in str(problems[0])
    assert str(path) in str(problems[0])


def test_no_user_file_is_no_problem(tmp_path: Path) -> None:
    assert read_user_file(tmp_path / "absent.toml") == ({}, [])


def test_a_key_is_never_shown() -> None:
    settings, _ = resolve([("editor", {"target": {"api_key": "sk-secret"}})])

    assert "sk-secret" not in repr(settings)


def test_the_extension_for_vs_code_offers_these_settings() -> None:
    """Each with its docstring; the script writes them into the extension's package.json."""
    script = Path(__file__).parents[1] / "editors" / "vscode" / "scripts" / "settings_schema.py"
    checked = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stderr
