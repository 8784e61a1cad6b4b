"""What a request costs, by the user's table of prices. Pure.

A token is reckoned as three bytes where a server does not count: code has three to four to a token, so the estimate
is rather too high than too low.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from egate_lsp.config import Price

CURRENCY = "USD"
MILLION = 1_000_000.0
BYTES_PER_TOKEN = 3.0
PROMPT_FRAME = 512  # tokens: what a dialect may put around the text (instructions, marks, the file's name)


def price_of(model: str, server: str, prices: Mapping[str, Price]) -> Price | None:
    """The price of a model at a server ("host:port"): by its own name, else by the longest pattern that matches
    "host:port/model" or the name; None if the table has none."""
    names = (f"{server}/{model}", model)
    for name in names:
        if name in prices:
            return prices[name]
    fitting = [pattern for pattern in prices if any(fnmatchcase(name, pattern) for name in names)]
    return prices[max(fitting, key=lambda pattern: (len(pattern), pattern))] if fitting else None


def cost(price: Price, tokens_in: int, tokens_out: int, tokens_cached: int = 0) -> float:
    """In USD; `tokens_cached` of `tokens_in` were read from the server's cache."""
    cached = min(max(tokens_cached, 0), tokens_in)
    price_cached = price.input if price.cached is None else price.cached
    return ((tokens_in - cached) * price.input + cached * price_cached + tokens_out * price.output) / MILLION


def most(price: Price, bytes_out: int, max_tokens: int) -> float:
    """The most that a request can cost: no token is less than a byte, and no reply is longer than its cap."""
    dearest = max(price.input, price.cached or 0.0)
    return ((bytes_out + PROMPT_FRAME) * dearest + max_tokens * price.output) / MILLION


def tokens(size: int) -> int:
    """About how many tokens so many bytes are."""
    return round(size / BYTES_PER_TOKEN)
