from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egate_lsp import triggers
from egate_lsp.assess import assess
from egate_lsp.syntax import Checker
from tests.conftest import drawn

ALL = triggers.NAMES


def found(document: str, line: str, language: str) -> set[str] | None:
    before, _, after = document.partition("║")
    told = Checker().patterns(before, line, after, language)
    return None if told is None else set(told)


@pytest.mark.parametrize(
    ("language", "document", "line", "names"),
    [
        ("python", "║\n    return 1\n", "def area(self, width, height=1):", {"signature"}),
        ("python", "║\n    return 1\n", "def area(self, width):", set()),
        ("python", "x = f(\n    g([\n        ║\n    ])\n)\n", "h(1),", {"nested-brackets"}),
        ("python", "║\n", "x = f(1, '((((')", set()),
        ("python", "║\nsecond\n'''\n", "text = '''first", {"multiline-string"}),
        ("python", "║\n", "s = f'{names[0]}'", {"template-literal"}),
        ("python", "║\n", "s = f'{name}'", set()),
        ("python", "║\n", r"s = r'\d'", {"raw-string"}),
        ("python", "║\n", "p = re.compile(text)", {"regular-expression"}),
        ("python", "║\ndef f(): ...\n", "@app.get('/')", {"decorator"}),
        ("python", "║\ndef f(): ...\n", "@app.get()", set()),
        ("python", "║\n    pass\n", "class A[T]:", {"type-parameters"}),
        ("javascript", "║\n", "const area = (width, height) => width * height;", {"signature"}),
        ("javascript", "║\n", "s.replace(/a+/g, `x${y}`);", {"regular-expression", "template-literal"}),
        ("javascript", "if (a) {\n  while (b) {\n    if (c) {\n      ║\n    }\n  }\n}\n", "d();", set()),
        ("typescript", "║\n", "function f<T>(a: T, b: T) {}", {"signature", "type-parameters"}),
        ("c", "║\n", "int area(int width, int height);", {"signature"}),
        ("c", "void m() {\n    ║\n}\n", "x = f(g(h(1)));", {"nested-brackets"}),
        ("cpp", "║\n", 'auto s = R"(x)";', {"raw-string"}),
        ("cpp", "║\n", "template <typename T> T f(T a, T b) { return a; }", {"signature", "type-parameters"}),
        ("go", "package m\n║\n", "func (r *R) f(a int, b int) {}", {"signature"}),
        ("go", "package m\n║\n", "func (r *R) f(a int) {}", set()),
        ("java", "class A {\n  ║\n  int f(int a) { return a; }\n}\n", "@Get(path = 1)", {"decorator"}),
        ("java", "class A {\n  ║\n}\n", "Pattern p = Pattern.compile(text);", {"regular-expression"}),
        ("rust", "║\nstruct A;\n", "#[derive(Debug)]", {"decorator"}),
        ("rust", "impl A {\n  ║\n}\n", "fn f(&self, a: i32) {}", set()),
        ("python", "║\n", "def f(a, b", None),  # it does not parse: the scanner decides
        ("klingon", "║\n", "x", None),
    ],
)
def test_what_the_tree_tells(language, document, line, names) -> None:
    assert found(document, line, language) == names


def test_the_scanner_serves_where_the_tree_does_not() -> None:
    broken = assess(drawn("║\n"), "def area(width, height", Checker(), enabled=ALL)
    unknown = assess(drawn("║\n", language="lua"), "local function area(width, height)", Checker(), enabled=ALL)

    assert broken.triggers == ("signature",)
    assert unknown.triggers == ("signature",)


def test_the_order_is_that_of_the_settings() -> None:
    line = "def f[T](a, b=g(h((1)))): ..."
    named = ("type-parameters", "nested-brackets", "signature")

    assert assess(drawn("║\n"), line, Checker(), enabled=named).triggers == named


CODE = st.text(alphabet="abf(){}[]'\"`$=:,<>@#!r \n", max_size=40)


@given(CODE, CODE, CODE, st.sampled_from(["python", "javascript", "rust", "go", "cpp", "java"]))
def test_any_text_gives_known_names(before, line, after, language) -> None:
    told = Checker().patterns(before, line, after, language)

    assert told is None or told <= set(ALL)
