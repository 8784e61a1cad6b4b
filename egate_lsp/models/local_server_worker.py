"""The local target's own process: `python -m egate_lsp.models.local_server_worker MODEL N_CTX THREADS OPTIONS
[yielding]`, the options as a JSON object of further parameters.

Runs xllamacpp's llama-server on a free loopback port, prints one JSON line with its address or its error, and ends
when its standard input closes, so it never outlives whoever started it.
"""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    """Serve until the input closes."""
    outgoing = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what C code prints is no message

    def tell(**message: str) -> None:
        outgoing.write(json.dumps(message) + "\n")
        outgoing.flush()

    path, context_tokens, threads, options = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
    if "yielding" in sys.argv[5:]:
        _yield_the_processor()
    try:
        import xllamacpp
    except ImportError:
        tell(error="xllamacpp is not installed", hint="Run: pip install 'egate-lsp[local-target]'")
        return
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx = context_tokens
    params.n_parallel = 1
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    for name, value in options.items():
        setattr(params, name, value)
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        tell(error=f"llama-server cannot use {path}: {error}", hint="Check the file: egate-lsp models verify")
        return
    tell(url=str(server.listening_address))
    sys.stdin.read()
    os._exit(0)  # a running generation is nobody's any more


def _yield_the_processor() -> None:
    """From now on compute only what the processor has no other work beside, as near as the system allows."""
    if hasattr(os, "sched_setscheduler"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    elif hasattr(os, "nice"):
        os.nice(19)


if __name__ == "__main__":
    main()
