"""What can go wrong for a client of the exchange.

ClientError
├── UnreachableError          no connection could be made
├── ConnectionLostError       it broke while an answer was awaited: the outcome is unknown
├── RequestRefusedError       the exchange did not understand a request, or takes no more of them
├── ActionRefusedError        the exchange refused an action as a whole; nothing was done
├── SubscriptionRefusedError  the exchange does not serve this subscription
└── FeedOverflowError         the consumer of a lossless feed was too slow
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """Base of every error of the client."""


class UnreachableError(ClientError):
    """No connection could be made."""


class ConnectionLostError(ClientError):
    """The connection broke while an answer was awaited; what was asked for may have happened."""


class RequestRefusedError(ClientError):
    """The exchange did not understand a request, or takes no more of them; nothing was done."""


class ActionRefusedError(ClientError):
    """The exchange refused an action as a whole; nothing was done. The message is its text."""


class SubscriptionRefusedError(ClientError):
    """The exchange does not serve this subscription. The message is its text."""


class FeedOverflowError(ClientError):
    """The consumer of a feed that must not lose frames was too slow; the feed has ended."""

    def __init__(self, subscription: Mapping[str, Any], frames_waiting_max: int) -> None:
        super().__init__(f"{frames_waiting_max} frames were waiting: {dict(subscription)}")
