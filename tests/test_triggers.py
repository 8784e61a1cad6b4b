from __future__ import annotations

import pytest

from egate_lsp.triggers import fired

ALL = ("signature", "nested-brackets", "multiline-string", "template-literal")


@pytest.mark.parametrize(
    ("language", "line", "names"),
    [
        ("python", "def area(width, height):", ["signature"]),
        ("python", "    async def area(self, width: dict[str, int], height=1) -> int:", ["signature"]),
        ("python", "def area(self, width):", []),
        ("python", "def area():", []),
        ("python", "area(width, height)", []),
        ("python", "if area(width, height):", []),
        ("javascript", "function area(width, height) {", ["signature"]),
        ("typescript", "  public area(width: number, height: number): number {", ["signature"]),
        ("typescript", "  if (a, b) {", []),
        ("go", "func (r *Rect) Area(width int, height int) int {", ["signature"]),
        ("go", "func (r *Rect) Area(width int) int {", []),
        ("javascript", "go(function (a, b) {", ["signature"]),
        ("rust", "pub fn area(&self, width: u32, height: u32) -> u32 {", ["signature"]),
        ("java", "    public static int area(int width, int height) {", ["signature"]),
        ("c", "static int area(int width, int height) {", ["signature"]),
        ("c", "for (i = 0, j = 1; i < n; i++) {", []),
        ("lua", "local function area(width, height)", ["signature"]),
        ("python", "x = f(g[h(1)])", ["nested-brackets"]),
        ("python", "x = f(g(1), h(2))", []),
        ("python", "x = '((('", []),
        ("python", 'text = """first', ["multiline-string"]),
        ("python", 'text = """one line"""', []),
        ("javascript", "const s = `first", ["multiline-string"]),
        ("javascript", "const s = `one ${name} two`", ["template-literal"]),
        ("javascript", "const s = `plain`", []),
        ("python", "s = f'{names[0]} {f(x)}'", ["template-literal"]),
        ("python", "s = f'{name}'", []),
        ("python", "# def area(width, height):", []),
        ("lua", "local text = [[first", ["multiline-string"]),
        ("lua", "local text = [[one]]", []),
    ],
)
def test_fired(language: str, line: str, names: list[str]) -> None:
    assert list(fired(ALL, "", [], line, language)) == names


def test_what_stands_before_the_cursor_counts() -> None:
    assert fired(ALL, "x = 1\ndef area(width, ", [], "height):", "python") == ("signature",)
    assert fired(ALL, "def area(width, ", ["x"], "height):", "python") == ()


def test_only_enabled_ones_fire() -> None:
    assert fired((), "", [], "def area(width, height):", "python") == ()
