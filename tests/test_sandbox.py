"""Programs that must pass, and programs that must be stopped. Every one of them runs in a real child process."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from egate_lsp.errors import ConfigError
from egate_lsp.evaluation import sandbox
from egate_lsp.evaluation.problems import Problem
from egate_lsp.values import FimContext, Shape

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there is no sandbox on this system")

SHORT_S = 1.0
PATIENCE_S = 8.0  # a busy machine; the default limit of 10 s must not be what ends a program
ADD = ("def add(a, b):\n    return ", "\n")
CHECK_ADD = ("call", "assert add(2, 3) == 5\n")


def problem(tests, before=ADD[0], after=ADD[1]):
    return Problem("p", "g", "set", FimContext(before, after, "s.py", "python", Shape.LINE), "", before, after, tests)


def refused(code: str) -> str:
    outcome = sandbox.run(code, to_the_end=True)
    assert not outcome.ok
    return outcome.error


def stopped(code: str, **limits) -> sandbox.Outcome:
    """The outcome of a program that would not end by itself."""
    start = time.monotonic()
    outcome = sandbox.run(code, **limits)
    assert time.monotonic() - start < PATIENCE_S
    assert not outcome.ok
    return outcome


def test_the_right_answer_passes_and_a_wrong_one_does_not():
    assert sandbox.passes(problem(CHECK_ADD), "a + b") is True
    assert sandbox.passes(problem(CHECK_ADD), "a - b") is False
    assert sandbox.passes(problem(CHECK_ADD), "(((") is False
    assert sandbox.passes(problem(CHECK_ADD), "a + b\0") is False


def test_without_tests_there_is_no_verdict():
    assert sandbox.passes(problem(None), "a + b") is None


@pytest.mark.parametrize("leave", ["import sys; sys.exit(0)", "exit()", "import os; os._exit(0)", "raise SystemExit"])
def test_leaving_early_does_not_pass(leave):
    hole = problem(CHECK_ADD, before="def add(a, b): return 0\n")

    assert sandbox.passes(hole, leave) is False
    assert sandbox.run(leave).ok
    assert refused(leave) == "left before its end"


def test_all_pairs_of_input_and_output_must_be_right():
    pairs = [{"input": "1 2\n", "output": ["3"]}, {"input": "4 5", "output": ["8", "9 \n"]}]
    hole = problem(("io", pairs), before="a, b = map(int, input().split())\nprint(", after=")\nexit()")

    assert sandbox.passes(hole, "a + b") is True
    assert sandbox.passes(hole, "3") is False
    assert sandbox.passes(hole, "a + b, 0") is False
    assert sandbox.passes(hole, "a + b); import os; os._exit(1") is False


def test_a_run_is_the_same_every_time():
    code = "print(list({'a', 'b', 'c', 'd', 'e', 'f'}))"

    assert sandbox.run(code).stdout == sandbox.run(code).stdout


def test_a_program_finds_itself_as_main_with_text_in_utf_8():
    code = "import sys\nassert __name__ == '__main__'\nassert len(sys.argv) == 1\nprint(input() + 'ß', eval('1 + 1'))"

    assert sandbox.run(code, "é\n", to_the_end=True) == sandbox.Outcome(True, False, "éß 2\n", "")


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import time\ntime.sleep(60)",
        "import sys, os, time\nos.close(1); os.close(2)\ntime.sleep(60)",
        "import signal\nfor s in set(signal.Signals) - {9, 19}:\n    try: signal.signal(s, signal.SIG_IGN)\n"
        "    except Exception: pass\nwhile True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()",
    ],
    ids=["loop", "sleep", "closed output", "signals", "thread"],
)
def test_time_is_limited(code):
    outcome = stopped(code, timeout_s=SHORT_S)

    assert outcome.timed_out
    assert outcome.error == "took too long"


def test_waiting_for_input_that_never_comes_is_an_error():
    assert "EOFError" in refused("input()")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_is_limited(stream):
    outcome = stopped(f"import sys\nwhile True: sys.{stream}.write('y' * 1000)")

    assert outcome.error == "printed too much"
    assert len(outcome.stdout) < 2 * sandbox.OUTPUT_BYTES


def test_memory_is_limited():
    outcome = stopped("x = []\nwhile True: x.append(bytearray(1 << 24))", memory_bytes=1 << 28)

    assert "MemoryError" in outcome.error or outcome.error == "held too much memory"


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.fork()",
        "import os; os.system('true')",
        "import os; os.execv('/bin/true', ['true'])",
        "import os; os.posix_spawn('/bin/true', ['true'], {})",
        "import subprocess; subprocess.run(['true'])",
        "import _posixsubprocess; _posixsubprocess.fork_exec()",
        "import multiprocessing as m; m.get_context('fork').Process(target=print).start()",
        "import os; os.kill(os.getppid(), 0)",
        "import ctypes",
        "import socket; socket.socket()",
        "import socket; socket.getaddrinfo('localhost', 80)",
        "import urllib.request as u; u.urlopen('http://127.0.0.1:9/', timeout=1)",
        "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0))",
    ],
)
def test_processes_and_the_network_are_refused(code):
    assert "sandbox" in refused(code)


@pytest.mark.parametrize(
    "code",
    [
        "open({path!r}, 'w')",
        "open({path!r}, 'a')",
        "open({path!r}, 'r+')",
        "import os; os.open({path!r}, os.O_WRONLY)",
        "import os; os.remove({path!r})",
        "import os; os.rename({path!r}, 'mine')",
        "import os; open('mine', 'w'); os.rename('mine', {path!r})",
        "import os; os.link({path!r}, 'mine')",
        "import os; os.chmod({path!r}, 0)",
        "import os; os.truncate({path!r}, 0)",
        "import os; os.symlink({path!r}, 'mine'); open('mine', 'w')",
        "import os; os.chdir('/'); open({path!r}, 'w')",
        "import os; os.mkdir({path!r} + '.d')",
        "import sqlite3; sqlite3.connect({path!r})",
    ],
)
def test_writing_outside_is_refused(code, tmp_path):
    path = tmp_path / "precious"
    path.write_text("kept")
    before = path.stat()

    assert "outside of the sandbox" in refused(code.format(path=str(path)))
    assert path.read_text() == "kept"
    assert path.stat().st_mode == before.st_mode
    assert list(tmp_path.iterdir()) == [path]


def test_reading_is_allowed_and_so_is_writing_at_home(tmp_path):
    path = tmp_path / "read"
    path.write_text("text")
    code = (
        f"import os, tempfile\nprint(open({str(path)!r}).read())\nos.mkdir('d'); open('d/f', 'w').write('x')\n"
        "os.rename('d/f', 'g'); os.remove('g')\nopen(os.devnull, 'w').write('x')\n"
        "with tempfile.NamedTemporaryFile() as f: f.write(b'x')\nprint(os.getcwd())"
    )
    outcome = sandbox.run(code, to_the_end=True)

    assert outcome.error == ""
    text, directory = outcome.stdout.split()
    assert text == "text"
    assert not Path(directory).exists()


def test_files_are_limited():
    assert "OSError" in refused("open('f', 'wb').write(bytes(1 << 25))")
    assert "OSError" in refused("files = [open('f', 'w') for _ in range(1000)]")


def test_nothing_of_our_environment_is_seen(monkeypatch):
    monkeypatch.setenv("EGATE_SECRET", "secret")
    code = (
        "import os, sys\nassert 'EGATE_SECRET' not in os.environ\n"
        "assert not any('site-packages' in p for p in sys.path)"
    )

    assert sandbox.run(code, to_the_end=True).error == ""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part is Linux's")
def test_the_kernel_holds_without_the_hook(tmp_path):
    """What the kernel grants differs; where it grants Landlock, writing outside and starting programs fail too."""
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    child = str(sandbox.CHILD)
    code = f"""
import os, runpy, subprocess, sys
child = runpy.run_path({child!r})
child["isolate"]({str(inside)!r})
import ctypes
landlock = ctypes.CDLL(None).syscall(444, None, 0, 1) > 0
open({str(inside / "f")!r}, "w").close()
open(os.devnull, "w").close()
held = 0
for attempt in (lambda: open({str(outside)!r}, "w"), lambda: os.execv("/bin/true", ["true"])):
    try:
        attempt()
    except PermissionError:
        held += 1
print(held == 2 if landlock else "none")
"""
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    if done.stdout != "":  # without Landlock the second attempt replaces the process
        assert done.stdout in ("True\n", "none\n"), done.stderr
    assert (inside / "f").exists()


def test_a_system_without_sandbox_says_so(monkeypatch):
    monkeypatch.setattr(sandbox.os, "name", "nt")

    with pytest.raises(ConfigError) as caught:
        sandbox.run("print(1)")

    assert caught.value.hint
