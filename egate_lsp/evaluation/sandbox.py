"""Running generated Python programs, which nobody has read, to see whether they do what their problem asks.

A program runs in a child process (`sandbox_child`) of its own session, with a fresh directory, an empty environment
and only the standard library. Three layers hold it: this process ends it when it takes too long, prints too much or
holds too much memory; the kernel limits it (rlimits everywhere; on Linux, where allowed, also a network namespace and
Landlock); an audit hook refuses sockets, processes and writing outside of its directory. Reading is not restricted.

It protects against what a model writes by mistake, not against an attacker: the audit hook is no security border, and
only Linux has the kernel's part. Text that may be hostile belongs into a virtual machine.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import psutil

from egate_lsp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from egate_lsp.evaluation.problems import Problem

TIMEOUT_S = 10.0
MEMORY_BYTES = 1 << 30
OUTPUT_BYTES = 1_000_000
POLL_S = 0.05  # how often memory is looked at
ERROR_CHARS = 300
CHILD = Path(__file__).with_name("sandbox_child.py")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended.

    Attributes:
        ok: it ended by itself with exit code 0; with `to_the_end`, also after its last line.
        timed_out: it was killed because its time was over.
        stdout: what it printed, cut where the limit was exceeded.
        error: one line that says why it is not ok; empty if it is.
    """

    ok: bool
    timed_out: bool
    stdout: str
    error: str


def passes(problem: Problem, completion: str, *, timeout_s: float = TIMEOUT_S) -> bool | None:
    """Whether the program with the hole filled passes the problem's tests; None if it has none.

    Of `("io", pairs)` every pair is a run of its own with its own `timeout_s` seconds; the first failure ends it. An
    output is right if its words, parted by white space, are those of one of the acceptable outputs.

    Raises:
        ConfigError: this system has no sandbox.
    """
    if problem.tests is None:
        return None
    kind, tests = problem.tests
    program = problem.program(completion)
    if kind == "call":
        return run(f"{program}\n{tests}", timeout_s=timeout_s, to_the_end=True).ok
    return all(_answers(run(program, pair["input"], timeout_s=timeout_s), pair["output"]) for pair in tests)


def _answers(outcome: Outcome, acceptable: list[str]) -> bool:
    words = outcome.stdout.split()
    return outcome.ok and any(words == output.split() for output in acceptable)


def run(
    code: str,
    stdin: str = "",
    *,
    timeout_s: float = TIMEOUT_S,
    memory_bytes: int = MEMORY_BYTES,
    output_bytes: int = OUTPUT_BYTES,
    to_the_end: bool = False,
) -> Outcome:
    """Runs a Python program in the sandbox and removes what it left behind.

    Args:
        timeout_s: wall time, the interpreter's start included.
        output_bytes: of standard output and standard error together.
        to_the_end: a program that leaves before its last line, with whatever exit code, is not ok.

    Raises:
        ConfigError: this system has no sandbox.
    """
    if os.name != "posix":
        raise ConfigError(
            "Generated programs can be run only on Linux and macOS.",
            hint="Run the tests there or in WSL, or measure without running them.",
        )
    sentinel = secrets.token_hex(16).encode()
    with (
        tempfile.TemporaryDirectory(prefix="egate-run-", ignore_cleanup_errors=True) as directory,
        _file(sentinel + b"\n" + _encoded(code)) as job,
        _file(_encoded(stdin)) as given,
    ):
        process = _start(directory, job, given, timeout_s, memory_bytes)
        with process:
            try:
                watch = _Watch(process, time.monotonic() + timeout_s, memory_bytes, output_bytes)
                verdict = watch.until_end()
            finally:
                _kill(process)
    stderr = bytes(watch.stderr)
    complete = sentinel in stderr
    error = _error(verdict, process.returncode, stderr, complete=complete or not to_the_end)
    return Outcome(not error, verdict == _Watch.TIME, watch.stdout.decode(errors="replace"), error)


def _encoded(text: str) -> bytes:
    return text.encode(errors="replace")


@contextlib.contextmanager
def _file(content: bytes) -> Iterator[IO[bytes]]:
    """A file without a name, at its start. A pipe would need someone to feed it."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        yield file


def _start(
    directory: str, job: IO[bytes], given: IO[bytes], timeout_s: float, memory_bytes: int
) -> subprocess.Popen[bytes]:
    # -I would ignore the fixed hash seed, without which a program that goes through a set differs from run to run.
    # As the environment is ours, -P and -s leave nothing of what else -I stands for.
    flags = ("-P", "-s", "-S", "-B", "-X", "utf8")
    arguments = (str(job.fileno()), str(int(timeout_s) + 1), str(memory_bytes))
    return subprocess.Popen(
        [sys.executable, *flags, str(CHILD), *arguments],
        stdin=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=directory,
        env={"PYTHONHASHSEED": "0", "TMPDIR": directory, "HOME": directory},
        pass_fds=(job.fileno(),),
        start_new_session=True,
    )


class _Watch:
    """Gathers what a program prints, until it ends or exceeds what it may have."""

    TIME, OUTPUT, MEMORY = "took too long", "printed too much", "held too much memory"

    def __init__(self, process: subprocess.Popen[bytes], deadline: float, memory_bytes: int, output_bytes: int) -> None:
        self.stdout, self.stderr = bytearray(), bytearray()
        self._process = process
        self._deadline = deadline
        self._memory_bytes = memory_bytes
        self._output_bytes = output_bytes

    def until_end(self) -> str:
        """What it exceeded; empty if it ended by itself."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        ended = False
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ, self.stdout)
            selector.register(self._process.stderr, selectors.EVENT_READ, self.stderr)
            while selector.get_map():
                self._read(selector)
                exceeded = self._exceeded()
                if exceeded:
                    return exceeded
                if not ended and self._process.poll() is not None:
                    ended = True
                    _kill_group(self._process.pid)  # a process that it left may hold the pipes open
        return self._wait()

    def _read(self, selector: selectors.BaseSelector) -> None:
        for key, _ in selector.select(POLL_S):
            chunk = os.read(key.fd, 1 << 16)
            key.data.extend(chunk)
            if not chunk:
                selector.unregister(key.fileobj)

    def _wait(self) -> str:
        """The same for a program that has closed its output."""
        while self._process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(POLL_S)
            exceeded = self._exceeded()
            if exceeded and self._process.poll() is None:
                return exceeded
        return ""

    def _exceeded(self) -> str:
        if len(self.stdout) + len(self.stderr) > self._output_bytes:
            return self.OUTPUT
        if time.monotonic() > self._deadline:
            return self.TIME
        return self.MEMORY if self._resident() > self._memory_bytes else ""

    def _resident(self) -> int:
        """Bytes. macOS does not keep to RLIMIT_AS."""
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.Error:
            return 0


def _kill(process: subprocess.Popen[bytes]) -> None:
    _kill_group(process.pid)
    process.kill()
    process.wait()


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _error(verdict: str, exit_code: int, stderr: bytes, *, complete: bool) -> str:
    if verdict:
        return verdict
    if exit_code < 0:
        return f"killed by signal {-exit_code}"
    if exit_code:
        lines = stderr.decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return (last or f"exit code {exit_code}")[:ERROR_CHARS]
    return "" if complete else "left before its end"
