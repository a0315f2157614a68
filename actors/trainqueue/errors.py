"""The exceptions of trainq. Those with a file name are defined beside what raises them.

TrainqError
    RequestError                    the daemon refused a request; carries the wire's code
        BadRequestError             wire.py: it could not be decoded; knows the id to echo
    DaemonError                     no answer came
        NoDaemonError               nobody serves this home
        NotAnsweringError           somebody holds the home and is silent
        HomeHeldError               somebody holds the home that we wanted for ourselves
    SettingsError                   the settings file cannot be used; names file and field
    JournalError                    journal.py: the database cannot be used; names the file
    FaultError                      a fault of ours
        IllegalTransitionError      core/job.py: a step that the table does not have
        LeaseError                  core/leases.py: a GPU was about to be held twice
        InvariantError              core/invariants.py: `check` found the state broken
"""

from __future__ import annotations

from typing import Literal

ErrorCode = Literal[
    "bad-request",
    "unknown-op",
    "not-found",
    "conflict",
    "too-large",
    "limit",
    "forbidden",
    "unavailable",
    "internal",
]


class TrainqError(Exception):
    """Base of everything that trainq raises on purpose."""


class RequestError(TrainqError):
    """A request was refused and nothing changed; raised by the daemon's parts and again in the client."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code: ErrorCode = code
        self.message = message


class FaultError(TrainqError):
    """Base of the errors that nobody but us can cause."""


class SettingsError(TrainqError):
    """The settings file is missing, unreadable or wrong; raised before anything starts."""


class DaemonError(TrainqError):
    """Base of the errors that mean "no answer"; the command line turns them into exit code 3."""


class NoDaemonError(DaemonError):
    """Nobody serves the home; raised by the client."""


class NotAnsweringError(DaemonError):
    """Somebody holds the home but did not answer in time; raised by the client."""


class HomeHeldError(DaemonError):
    """Another process holds the home; raised when a daemon or an embedded queue starts."""
