"""The inside of `evaluation.sandbox`: a script that shuts its own process in and then runs the program it was given.

Never imported; started as `python -P -s -S sandbox_child.py FD CPU_SECONDS MEMORY_BYTES` with the fresh directory as
its working directory. FD is a file: a line with the sentinel, then the program in UTF-8. The sentinel is written to
standard error when the program's last line has been run. What the program may not do raises PermissionError in it.
"""

from __future__ import annotations

import builtins
import os
import resource
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

FILE_BYTES = 16 << 20
OPEN_FILES = 64
TASKS = 64  # threads too; some programs of competitions run in a thread to have a larger stack

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
REFUSED = (
    "socket.", "ctypes.", "subprocess.", "os.exec", "os.fork", "os.kill", "os.posix_spawn", "os.spawn", "os.startfile",
    "os.system", "pty.", "resource.", "signal.pthread_kill", "sys.addaudithook", "syslog.",
)  # fmt: skip
# Which arguments of an event are paths that are changed. A link's source counts: writing to the link changes it.
CHANGED: dict[str, tuple[int, ...]] = {
    "os.chflags": (0,), "os.chmod": (0,), "os.chown": (0,), "os.link": (0, 1), "os.mkdir": (0,), "os.remove": (0,),
    "os.removexattr": (0,), "os.rename": (0, 1), "os.rmdir": (0,), "os.setxattr": (0,), "os.symlink": (1,),
    "os.truncate": (0,), "os.utime": (0,), "sqlite3.connect": (0,),
}  # fmt: skip

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, SIGKILL = 1, 38, 9
# Landlock's system calls have the same numbers on every architecture.
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
LANDLOCK_EXECUTE, LANDLOCK_WRITE, LANDLOCK_TRUNCATE = 1 << 0, 1 << 1, 1 << 14
LANDLOCK_CHANGE = sum(1 << bit for bit in (4, 5, 6, 7, 8, 9, 10, 11, 12))  # removing and making of any kind
LANDLOCK_TRUNCATE_ABI = 3
LANDLOCK_REFER, LANDLOCK_REFER_ABI = 1 << 13, 2  # moving from one folder to another; refused unless it is granted


def limit(cpu_s: int, memory_bytes: int, tasks: int | None) -> None:
    """Hard limits of this process; one that the system does not know or refuses is left out."""
    values = {
        "RLIMIT_CPU": cpu_s,
        "RLIMIT_AS": memory_bytes,
        "RLIMIT_FSIZE": FILE_BYTES,
        "RLIMIT_NOFILE": OPEN_FILES,
        "RLIMIT_CORE": 0,
        "RLIMIT_NPROC": tasks,
    }
    for name, value in values.items():
        number = getattr(resource, name, None)
        if number is None or value is None:
            continue
        try:
            hard = resource.getrlimit(number)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(number, (value, value))
        except (OSError, ValueError):
            continue


def isolate(directory: str) -> bool:
    """Linux: no network, no writing outside of the directory, no starting of programs, by the kernel and as far as it
    allows that to us. True if this process is now alone in a user namespace."""
    import ctypes  # the only user; another system does not pay for it

    libc = ctypes.CDLL(None, use_errno=True)
    alone = bool(libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0)
    if not alone:
        libc.unshare(CLONE_NEWNET)
    libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        _landlock(ctypes, libc, directory)
    for name in [name for name in sys.modules if "ctypes" in name]:
        del sys.modules[name]
    return alone


def _landlock(ctypes: Any, libc: Any, directory: str) -> None:
    syscall = libc.syscall
    syscall.restype = ctypes.c_long
    abi = syscall(ctypes.c_long(LANDLOCK_CREATE), None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    if abi < 1:
        return
    write = LANDLOCK_WRITE | (LANDLOCK_TRUNCATE if abi >= LANDLOCK_TRUNCATE_ABI else 0)
    change = LANDLOCK_CHANGE | (LANDLOCK_REFER if abi >= LANDLOCK_REFER_ABI else 0)
    handled = (LANDLOCK_EXECUTE | change | write).to_bytes(8, sys.byteorder)
    rules = syscall(ctypes.c_long(LANDLOCK_CREATE), handled, ctypes.c_size_t(8), ctypes.c_uint32(0))
    if rules < 0:
        return
    for path, rights in ((directory, change | write), (os.devnull, write)):
        parent = os.open(path, os.O_PATH)
        rule = rights.to_bytes(8, sys.byteorder) + parent.to_bytes(4, sys.byteorder)
        syscall(ctypes.c_long(LANDLOCK_ADD), ctypes.c_int(rules), ctypes.c_int(1), rule, ctypes.c_uint32(0))
        os.close(parent)
    syscall(ctypes.c_long(LANDLOCK_RESTRICT), ctypes.c_int(rules), ctypes.c_uint32(0))
    os.close(rules)


def guard(directory: str) -> Callable[[str, tuple[Any, ...]], None]:
    """The audit hook. It holds all it needs by itself, so that a program that replaces names does not change it."""
    realpath, fsdecode, inside = os.path.realpath, os.fsdecode, directory + os.sep
    refused, changed, writes = REFUSED, CHANGED, WRITES
    free = {directory, os.devnull, os.path.realpath(os.devnull)}

    def check(event: str, path: Any) -> None:
        if path is None or isinstance(path, int):  # a file that is open already
            return
        if event == "sqlite3.connect" and path == ":memory:":
            return
        real = realpath(fsdecode(path))
        if real not in free and not real.startswith(inside):
            raise PermissionError(f"{event} outside of the sandbox: {path!r}")

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            if args[2] & writes:
                check(event, args[0])
        elif event in changed:
            for index in changed[event]:
                check(event, args[index])
        elif event.startswith(refused):
            raise PermissionError(f"{event} is not allowed in the sandbox")

    return hook


def refuse(*_: object) -> None:
    raise PermissionError("starting a process is not allowed in the sandbox")


def shut_in(cpu_s: int, memory_bytes: int) -> None:
    """All layers. What cannot be had on this system is left out, but for the audit hook."""
    directory = os.path.realpath(os.getcwd())
    # Where threads count, and other processes of the user too, no number would be right; the hook must do.
    tasks = 0 if sys.platform == "darwin" else None
    if sys.platform == "linux" and isolate(directory):
        tasks = TASKS
    limit(cpu_s, memory_bytes, tasks)
    try:
        import _posixsubprocess  # it starts processes without an event

        vars(_posixsubprocess)["fork_exec"] = refuse
    except ImportError:
        pass
    sys.addaudithook(guard(directory))


def main() -> None:
    """Runs the program as `__main__`; its exceptions and its exit are this process's."""
    job, cpu_s, memory_bytes = map(int, sys.argv[1:])
    with open(job, "rb") as file:
        sentinel, _, source = file.read().partition(b"\n")
    shut_in(cpu_s, memory_bytes)
    module = type(sys)("__main__")
    names = vars(module)
    names["__builtins__"] = builtins
    sys.modules["__main__"] = module
    sys.argv = ["solution.py"]
    vars(builtins).update(exit=sys.exit, quit=sys.exit)  # given by `site`, which is not loaded
    exec(compile(source, "solution.py", "exec", dont_inherit=True), names)
    os.write(2, b"\n" + sentinel)


if __name__ == "__main__":
    main()
