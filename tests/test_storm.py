"""What a storm may not leave behind is named."""

from __future__ import annotations

from egate_lsp.evaluation.storm import Storm


def test_a_storm_without_traces_is_none() -> None:
    assert Storm(100, last_answered=3, grown_mb=3.0, idle_after_s=0.7).violations == []


def test_each_trace_is_named() -> None:
    storm = Storm(
        100, answered_twice=1, unanswered=2, failed={"boom": 3}, last_answered=2, grown_mb=99.0, idle_after_s=4.2
    )

    said = " ".join(storm.violations)
    assert len(storm.violations) == 6
    for words in (
        "1 requests got more",
        "2 requests got no",
        "3 requests failed: boom",
        "of 1 documents",
        "99 MB",
        "4.2 s",
    ):
        assert words in said
    assert "still busy" in " ".join(Storm(1, last_answered=3, idle_after_s=None).violations)
