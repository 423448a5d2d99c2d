"""What can go wrong in the exchange machine other than a refusal."""

from __future__ import annotations


class ModelError(Exception):
    """Base of all errors of this package that are not about the form of a text."""


class BrokenInvariantError(ModelError):
    """Something that must always hold does not: our bug. The state must not be used any further."""


class UnreadableSnapshotError(ModelError):
    """The bytes are not a state that this version can read."""


def require(holds: bool, broken: str) -> None:
    """Insist on something that must hold, whatever came in.

    Raises:
        BrokenInvariantError: it does not; told as ``broken``.
    """
    if not holds:
        raise BrokenInvariantError(broken)
