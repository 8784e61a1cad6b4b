from __future__ import annotations

from egate_lsp.evaluation import fault_alarms

CODE = """import os


def area(width, height):
    size = max(width, 1) * max(height, 1)
    if size > 3:
        print(os.name, size)
    return size
"""


def test_an_authors_lines_are_judged_in_each_state_and_none_is_blamed_in_a_sound_file(tmp_path) -> None:
    for number in range(4):
        (tmp_path / f"m{number}.py").write_text(CODE)
    (tmp_path / "binary.py").write_bytes(b"\xff\xfe\x00")
    steps = []
    found = fault_alarms.measure(tmp_path.iterdir(), 10, seed=1, progress=lambda *step: steps.append(step))
    alarms = found["python"]

    assert set(found) == {"python"}
    assert alarms.judged["sound"] == len(alarms.fresh_ms) == len(steps) == 10
    assert {"cut off below", "bracket missing above", "bracket missing below"} <= set(alarms.judged)
    assert alarms.syntax["sound"] == alarms.names["sound"] == []


def test_a_line_with_a_real_fault_is_blamed_by_name_and_place(tmp_path) -> None:
    (tmp_path / "bad.py").write_text("def f(value):\n    return vaule + 1\n")
    found = fault_alarms.measure(tmp_path.iterdir(), 2, seed=1, progress=lambda *_: None)

    assert [place for place in found["python"].names["sound"] if place.startswith("bad.py:2 return vaule + 1 (")]
