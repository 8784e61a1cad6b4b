from __future__ import annotations

from egate_lsp.models.fim import QWEN, FimOrder, parts, render


def test_suffix_first_ends_in_the_prefix() -> None:
    text = render(QWEN, FimOrder.SUFFIX_FIRST, "before", "after")

    assert text == "<|fim_prefix|><|fim_suffix|>after<|fim_middle|>before"


def test_the_documented_order() -> None:
    text = render(QWEN, FimOrder.DOCUMENTED, "before", "after")

    assert text == "<|fim_prefix|>before<|fim_suffix|>after<|fim_middle|>"


def test_without_marks_only_the_prefix_is_shown() -> None:
    assert parts(None, FimOrder.SUFFIX_FIRST, "before", "after") == [("before", False)]
    assert render(QWEN, FimOrder.PREFIX_ONLY, "before", "after") == "before"
