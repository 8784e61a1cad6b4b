from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from egate_lsp.models.entropy import Meter


def reference(logits: np.ndarray) -> tuple[float, float, float]:
    """Entropy, log-probability of the likeliest, margin: by a float64 softmax over the raw logits."""
    x = logits.astype(np.float64)
    p = np.exp(x - x.max())
    p /= p.sum()
    positive = p[p > 0]
    top = np.sort(p)[::-1]
    return (
        -float((positive * np.log(positive)).sum()),
        math.log(top[0]),
        float(top[0] - (top[1] if len(top) > 1 else 0)),
    )


LOGIT = st.floats(-60, 60, width=32) | st.just(-math.inf)


@given(arrays(np.float32, st.integers(1, 300), elements=LOGIT).filter(lambda x: np.isfinite(x).any()))
def test_agrees_with_a_float64_softmax(logits) -> None:
    stats = Meter(300).measure(logits)
    entropy, logprob, margin = reference(logits)

    assert stats.entropy == pytest.approx(entropy, abs=1e-4)
    assert stats.logprob == pytest.approx(logprob, abs=1e-4)
    assert stats.margin == pytest.approx(margin, abs=1e-4)
    assert logits[stats.argmax] == logits.max()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0, 20.0])
def test_agrees_at_the_size_of_a_real_vocabulary(seed: int, scale: float) -> None:
    logits = np.random.default_rng(seed).normal(0, scale, 151_936).astype(np.float32)

    assert Meter(151_936).measure(logits).entropy == pytest.approx(reference(logits)[0], abs=1e-4)


def test_uniform_and_one_hot_are_exact() -> None:
    meter = Meter(151_936)

    assert meter.measure(np.full(151_936, 3.5, np.float32)).entropy == math.log(151_936)
    one_hot = np.full(151_936, -np.inf, np.float32)
    one_hot[7] = 1.0
    stats = meter.measure(one_hot)
    assert stats.entropy == pytest.approx(0.0, abs=1e-20)
    assert (stats.argmax, stats.logprob, stats.margin) == (7, 0.0, 1.0)


def test_the_logits_are_left_as_they_are() -> None:
    logits = np.array([1.0, 2.0, 0.5], np.float32)
    Meter(3).measure(logits)

    assert logits.tolist() == [1.0, 2.0, 0.5]
