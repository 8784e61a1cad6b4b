"""Every error that egate-lsp raises on purpose.

EgateError (hint, retryable)
├── ConfigError           a setting is wrong; shown once with the setting's name
├── DraftError            the draft engine
│   ├── ModelNotFound     no such model, or its file is not there
│   ├── ModelLoadError    the file is there and cannot be used
│   └── EngineDied        the engine process crashed, hung or was killed
├── TargetError           a tier that is asked for deferred lines; never fails a completion
│   ├── TargetTimeout
│   ├── TargetUnavailable
│   ├── TargetRateLimited
│   ├── TargetAuthError
│   └── TargetReplyError
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
    """A target could not give a line."""


class TargetTimeout(TargetError):
    """The target did not answer in time."""

    retryable = True


class TargetUnavailable(TargetError):
    """The target could not be reached or reported an internal error."""

    retryable = True


class TargetRateLimited(TargetError):
    """The target asked us to slow down."""

    retryable = True


class TargetAuthError(TargetError):
    """The target refused the key."""


class TargetReplyError(TargetError):
    """The target answered something that is no completion, or refused the request's form."""


class OverBudget(TargetError):
    """A cap of [budget] keeps a request from leaving; the message says which. No fault of the target's."""


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
