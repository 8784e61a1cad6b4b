"""The loop to compare with: llama.cpp's own calls and an argmax, nothing of ours. Run by `engine_overhead`.

`python -m egate_lsp.evaluation.bare_loop MODEL THREADS CONTEXT_TOKENS`; for each number read from standard input it
decodes the prompt, times the decoding of so many tokens, and writes one line of JSON. For a JSON list of numbers it
times one batch of each size behind a prompt of usual length (`DEPTH`).
"""

from __future__ import annotations

import ctypes
import json
import os
import statistics
import sys
import time
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np

from egate_lsp.evaluation import PREFIX

LARGEST_BATCH = 512
DEPTH = 1000  # tokens in the KV cache before a timed batch: a window of 4,000 characters has about as many
ROUNDS = 3


class Bare:
    """A model with a context and a batch."""

    def __init__(self, path: str, threads: int, context_tokens: int) -> None:
        llama.llama_backend_init()
        self._silence = llama.llama_log_callback(lambda *_: None)
        llama.llama_log_set(self._silence, None)
        self._model = llama.llama_model_load_from_file(path.encode(), llama.llama_model_default_params())
        params = llama.llama_context_default_params()
        params.n_ctx = context_tokens
        params.n_threads = params.n_threads_batch = threads
        self._context = llama.llama_init_from_model(self._model, params)
        self._vocab = llama.llama_model_get_vocab(self._model)
        self._size = llama.llama_vocab_n_tokens(self._vocab)
        self._batch = llama.llama_batch_init(LARGEST_BATCH, 0, 1)

    def run(self, prompt: str, count: int) -> tuple[float, bytes]:
        """Seconds for decoding `count` tokens, and the text of those and the first."""
        llama.llama_memory_clear(llama.llama_get_memory(self._context), False)
        read = self._tokens(prompt)
        length = len(read)
        self._decode(read, 0)
        tokens = [self._likeliest()]
        started = time.perf_counter()
        for index in range(count):
            self._decode(tokens[-1:], length + index)
            tokens.append(self._likeliest())
        return time.perf_counter() - started, b"".join(map(self._piece, tokens))

    def batches(self, prompt: str, sizes: list[int]) -> list[tuple[int, float]]:
        """`(tokens, milliseconds)` of one batch of each size, the median of some rounds after one that does not
        count."""
        memory = llama.llama_get_memory(self._context)
        llama.llama_memory_clear(memory, False)
        read = self._tokens(prompt)
        filling = (read * (DEPTH // len(read) + 1))[:DEPTH]
        for start in range(0, DEPTH, LARGEST_BATCH):
            self._decode(filling[start : start + LARGEST_BATCH], start)
        found = []
        for size in sizes:
            times = []
            for number in range(ROUNDS + 1):
                started = time.perf_counter()
                self._decode(filling[:size], DEPTH)
                self._likeliest()
                if number:
                    times.append((time.perf_counter() - started) * 1000.0)
                llama.llama_memory_seq_rm(memory, 0, DEPTH, -1)
            found.append((size, statistics.median(times)))
        return found

    def _tokens(self, text: str) -> list[int]:
        raw = text.encode()
        buffer = (llama.llama_token * (len(raw) + 8))()
        length = llama.llama_tokenize(self._vocab, raw, len(raw), buffer, len(buffer), False, False)
        return list(buffer[:length])

    def _decode(self, tokens: list[int], position: int) -> None:
        batch: Any = self._batch
        for index, token in enumerate(tokens):
            batch.token[index], batch.pos[index] = token, position + index
            batch.n_seq_id[index], batch.seq_id[index][0] = 1, 0
            batch.logits[index] = index == len(tokens) - 1
        batch.n_tokens = len(tokens)
        if llama.llama_decode(self._context, batch):
            raise RuntimeError("llama_decode failed")

    def _likeliest(self) -> int:
        logits = np.ctypeslib.as_array(llama.llama_get_logits_ith(self._context, -1), (self._size,))
        return int(logits.argmax())

    def _piece(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(256)
        length = llama.llama_token_to_piece(self._vocab, token, buffer, 256, 0, False)
        return buffer.raw[:length]


def main() -> None:
    """Serve rounds until the input closes."""
    outgoing = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    bare = Bare(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    for line in sys.stdin:
        wanted = json.loads(line)
        if isinstance(wanted, list):
            answer: dict[str, Any] = {"batch_ms": bare.batches(PREFIX, wanted)}
        else:
            seconds, text = bare.run(PREFIX, wanted)
            answer = {"seconds": seconds, "text": text.decode("utf-8", "replace")}
        outgoing.write(json.dumps(answer) + "\n")
        outgoing.flush()


if __name__ == "__main__":
    main()
