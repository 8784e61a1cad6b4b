"""Every error that egate-lsp raises on purpose.

EgateError (hint, retryable)
├── ConfigError           a setting is wrong; shown once with the setting's name
├── DraftError            the draft engine
│   ├── ModelNotFound     no such model, or its file is not there
│   ├── ModelLoadError    the file is there and cannot be used
│   └── EngineDied        the engine process crashed, hung or was killed
├── TargetError           a tier that is asked for deferred lines; never fails a completion
│   ├── TargetTimeout         slow        no answer in time, or one that drips
│   ├── TargetUnavailable     unreachable refused, no such host, a connection that broke
│   │   ├── TargetFailed      failing     an error of its own (5xx)
│   │   └── TargetUntrusted   untrusted   TLS: its certificate, or no TLS at all
│   ├── TargetRateLimited     limited     429, with or without Retry-After
│   ├── TargetAuthError       refused     401, 402, 403
│   ├── TargetReplyError      unreadable  no JSON, a web page, without end, a request it does not understand
│   │   ├── TargetNotFound    not-found   404: the model or the address
│   │   └── TargetMisfit      (none)      a sound answer that does not fit the text at the cursor
│   ├── TargetChanged         changed     another model answers than before
│   └── Withheld              (none)      the user's terms keep the text on this machine
│       └── OverBudget        (none)      a cap of [budget] does
├── LedgerUnavailable     the record of requests cannot be read or written now
└── PullError             a model could not be fetched
    ├── NoNetwork
    ├── DiskFull
    ├── WrongHash
    └── PullInProgress
"""

from __future__ import annotations


class EgateError(Exception):
    """Base of all. `hint` is one sentence that tells the user what to do; `retryable` that it may pass by itself."""

    retryable = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    @property
    def explanation(self) -> str:
        """Message and hint as one text for a person."""
        message = str(self)
        return f"{message} {self.hint}".strip() if self.hint else message


class ConfigError(EgateError):
    """A setting has a value that cannot be used."""


class DraftError(EgateError):
    """The draft engine could not do its work."""


class ModelNotFound(DraftError):
    """The catalogue has no such model, or its file has not been fetched."""


class ModelLoadError(DraftError):
    """llama.cpp could not load the model file or create a context."""


class EngineDied(DraftError):
    """The engine process ended or stopped answering while it was needed. `sudden`: it ended by itself."""

    retryable = True

    def __init__(self, message: str, *, hint: str = "", sudden: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.sudden = sudden


class TargetError(EgateError):
    """A target could not give a line.

    `state` is what the user sees of the target in one word; `retry_after_s` how long it asked to be left alone, or
    None; `status` the HTTP status that told of it, or 0.
    """

    state = "failing"
    status = 0

    def __init__(self, message: str, *, hint: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class TargetTimeout(TargetError):
    """The target did not answer in time."""

    state = "slow"
    retryable = True


class TargetUnavailable(TargetError):
    """The target could not be reached, or the connection broke."""

    state = "unreachable"
    retryable = True


class TargetFailed(TargetUnavailable):
    """The target reported an error of its own."""

    state = "failing"


class TargetUntrusted(TargetUnavailable):
    """No trusted encrypted connection could be made."""

    state = "untrusted"
    retryable = False


class TargetRateLimited(TargetError):
    """The target asked us to slow down."""

    state = "limited"
    retryable = True


class TargetAuthError(TargetError):
    """The target refused the key, or its account has no credit."""

    state = "refused"


class TargetReplyError(TargetError):
    """The target answered something that is no completion, or refused the request's form."""

    state = "unreadable"


class TargetNotFound(TargetReplyError):
    """The target does not know the model, or there is no such address."""

    state = "not-found"


class TargetMisfit(TargetReplyError):
    """The target's answer is sound and does not fit the text at the cursor: no fault of the server's."""

    state = "ok"
    retryable = True


class TargetChanged(TargetError):
    """Another model answered than the times before. Its line is not used; the next ones are."""

    state = "changed"
    retryable = True


class Withheld(TargetError):
    """The user's terms keep this text on the machine; the message says which. No fault of the target's."""

    state = "ok"


class OverBudget(Withheld):
    """A cap of [budget] is reached, or cannot be held."""


class LedgerUnavailable(EgateError):
    """The ledger's file is locked, full, not ours to write, or of a newer version."""

    retryable = True


class PullError(EgateError):
    """A model could not be fetched."""


class NoNetwork(PullError):
    """No source could be reached."""

    retryable = True


class DiskFull(PullError):
    """The cache directory has too little room."""


class WrongHash(PullError):
    """A file's SHA-256 is not the catalogue's."""


class PullInProgress(PullError):
    """Another process is fetching the same model."""

    retryable = True
