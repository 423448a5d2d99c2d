"""What can be wrong with a signed request before the exchange has seen it.

::

    ExchangeRequestError
    ├── MalformedBodyError      cannot be read; answered by an HTTP status and a plain text
    └── RequestRefusedError     read, and refused; answered as ``"status":"err"`` under HTTP 200
"""

from __future__ import annotations

from typing import Final

DETAIL_LENGTH_MAX: Final = 200
"""Of a body's fault, this much is told. The fault may quote the body."""


class ExchangeRequestError(Exception):
    """A signed request that will not become a command. The client's fault."""


class MalformedBodyError(ExchangeRequestError):
    """The request cannot be read, or not now: ``status`` is 400, 413, 415, 422 or 503."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text


class RequestRefusedError(ExchangeRequestError):
    """The request is well-formed but refused at the edge; ``text`` is what its sender is told."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def not_json(detail: object) -> MalformedBodyError:
    """Return the error of a body that is not JSON."""
    text = f"Failed to parse the request body as JSON: {detail}"
    return MalformedBodyError(400, text[:DETAIL_LENGTH_MAX])


def not_a_request(detail: object) -> MalformedBodyError:
    """Return the error of a body that is JSON of another shape."""
    text = f"Failed to deserialize the JSON body into the target type: {detail}"
    return MalformedBodyError(422, text[:DETAIL_LENGTH_MAX])


def too_long(bytes_max: int) -> MalformedBodyError:
    """Return the error of a body that is too long to look at."""
    return MalformedBodyError(413, f"Request bodies may have at most {bytes_max} bytes")
