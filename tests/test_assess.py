from __future__ import annotations

import pytest

from egate_lsp.assess import assess
from egate_lsp.syntax import Checker
from tests.conftest import drawn

SOUND = "def f(values):\n    ║\n    return total\n"


def test_faults_become_signals_and_words() -> None:
    known = assess(drawn(SOUND), "total = sum(valeus)", Checker(), complete=True)

    assert known.signals == {"syntax": 0.0, "names": 1.0}
    assert known.faults == ("it uses valeus, which nothing defines",)


def test_without_a_checker_nothing_is_known_of_faults() -> None:
    known = assess(drawn(SOUND), "total = sum((values)", None, complete=True)

    assert known.signals == {}
    assert known.faults == ()


@pytest.mark.parametrize(
    ("document", "text", "broken"),
    [
        ("def f(a):\n    if a║\n    return a\n", " > 3:", False),  # typed at a line's end: its body may follow
        ("def f(a):\n    if (a║):\n        return 1\n", " > (3", True),  # text follows: the hole is filled
        ("def f(a):\n    b = a║\n    return b\n", " + = 3", True),
        ("def f(a):\n    ║\n    return a\n", "if a > 3:", False),  # a block: more lines follow
    ],
)
def test_whether_the_hole_is_filled_follows_from_its_shape(document, text, broken) -> None:
    assert assess(drawn(document), text, Checker()).broken is broken


@pytest.mark.parametrize(
    ("document", "complete", "comment"),
    [
        ("x = 1\n║\n", None, True),
        ("x = 1\n║\n", True, False),  # it would stand for the missing code
        ('def f():\n    """Text\n    ║\n    """\n', True, True),
    ],
)
def test_a_comment_is_left_alone_where_more_is_to_come(document, complete, comment) -> None:
    assert assess(drawn(document), "# what follows", None, complete=complete).comment is comment


def test_triggers_are_signals_too() -> None:
    known = assess(drawn("║\n"), "def f(a, b):", None, enabled=("signature", "raw-string"))

    assert known.triggers == ("signature",)
    assert known.signals == {"trigger-signature": 1.0}
