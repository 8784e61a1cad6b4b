from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.secret_scan import scan, scan_hole
from egate_lsp.values import FimContext

KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEowIBAAKCAQEAxyz0123456789abcdefghijklmnopqrstuvwxyzABCDEFGH\n" * 6
AWS = "AKIAIOSFODNN7EXAMPLE"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f'key = "{AWS}"', AWS),
        ('password = "hunter2hunter2"', "hunter2hunter2"),
        ("token = 'ghp_1234567890abcdefghijklmnopqrstuvwxyz'", "ghp_1234567890abcdefghijklmnopqrstuvwxyz"),
        ('url = "https://me:secretpass@host/x"', "secretpass"),
        ('password = "ab\\"cd efgh"', 'ab\\"cd efgh'),
        ('password = "one11111"; db_password = "two22222"', "two22222"),
        ("x = '7f9ccf05ea2a3a5a2ebe6dd3a3a37f1b0d4e2c7a'", "7f9ccf05ea2a3a5a2ebe6dd3a3a37f1b0d4e2c7a"),
    ],
)
def test_a_secret_is_found_and_masked_in_place(text: str, secret: str) -> None:
    before = f"import os\n\n{text}\n"
    shown = scan_hole(FimContext(before, "\nprint(1)\n", "a.py")).masked

    assert secret not in shown.prefix
    assert len(shown.prefix) == len(before)
    assert shown.prefix.startswith("import os\n\n")
    assert shown.suffix == "\nprint(1)\n"


@pytest.mark.parametrize(
    "text",
    [
        'password = getpass("Password: ")',
        'password = os.environ["DB_PASSWORD"]',
        'alphabet = "abcdefghijklmnopqrstuvwxyz"',
        'id = "123e4567-e89b-12d3-a456-426614174000"',
        'password = "${DB_PASSWORD}"',
        "def tokenize(text):\n    return text.split()",
    ],
)
def test_what_is_no_secret_is_left_alone(text: str) -> None:
    assert scan(text, "a.py") == []


def test_a_file_of_settings_needs_no_quotes() -> None:
    assert [found.kind for found in scan("db_password: hunter2hunter2", "settings.yaml")] == ["Secret Keyword"]


@pytest.mark.parametrize("cut", range(0, len(KEY), 37))
def test_a_key_is_hidden_wherever_the_window_cuts_it(cut: int) -> None:
    """Neither end of the key need be in the window."""
    whole = f"a = 1\n{KEY}-----END RSA PRIVATE KEY-----\nb = 2\n"
    start = 6 + cut
    context = FimContext(whole[start:-4], "", "a.py", head=whole[:start], tail=whole[-4:])
    scanned = scan_hole(context)

    assert scanned.kinds
    assert "MIIE" not in scanned.masked.prefix
    assert "xyzABC" not in scanned.masked.prefix
    assert scanned.masked.prefix.count("\n") == context.prefix.count("\n")


def test_a_secret_beyond_the_window_stops_nothing() -> None:
    context = FimContext("a = 1\n", "", "a.py", head=f'key = "{AWS}"\n')

    assert scan_hole(context).kinds == ()


def test_a_secret_in_which_the_cursor_stands_is_hidden_on_both_sides() -> None:
    scanned = scan_hole(FimContext(f'key = "{AWS[:10]}', f'{AWS[10:]}"\n', "a.py"))

    assert scanned.masked.prefix == 'key = "' + "x" * 10
    assert scanned.masked.suffix == "x" * 10 + '"\n'


@given(st.text(max_size=200), st.text(max_size=200), st.sampled_from([AWS, KEY, 'password = "hunter2hunter2"', ""]))
def test_masking_keeps_lengths_and_line_breaks(before: str, after: str, secret: str) -> None:
    context = FimContext(f"{before}\n{secret}\n", after, "a.py")
    shown = scan_hole(context).masked

    for old, new in ((context.prefix, shown.prefix), (context.suffix, shown.suffix)):
        assert len(old) == len(new)
        assert [i for i, c in enumerate(old) if c == "\n"] == [i for i, c in enumerate(new) if c == "\n"]
    assert not secret or secret not in shown.prefix


def test_an_outline_with_a_secret_is_left_out() -> None:
    context = FimContext("x = 1\n", "", "a.py", outline=f'KEY = "{AWS}"\n')

    assert scan_hole(context).kinds == ()
    assert scan_hole(context).masked.outline == ""
    assert scan_hole(FimContext("x = 1\n", "", "a.py", outline="import os\n")).masked.outline == "import os\n"
