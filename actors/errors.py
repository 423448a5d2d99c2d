"""What can go wrong out there.

::

    ActorsError
    ├── SourceError                 a command or a read could not be served
    │   ├── OverloadedError         the mailbox is full; nothing was done
    │   ├── UnavailableError        the state is being rebuilt; nothing was done
    │   ├── CommandCrashedError     the machine broke on this command; it is undone, in no block
    │   ├── NoRoomError             the disk is full; the command is undone, in no block
    │   └── CommitFailedError       the disk failed; whether the command is durable is not known
    ├── GenesisError                a new exchange could not be opened as configured
    ├── HistoryLostError            the history's file was taken away; its writer makes it anew
    ├── LostPartError               a view missed a part of a block; it starts again from the source
    └── StorageError                the data directory cannot be used (see ``actors.storage``)
"""

from __future__ import annotations


class ActorsError(Exception):
    """Base of every operating error of this package."""


class SourceError(ActorsError):
    """A command or a read could not be served."""


class OverloadedError(SourceError):
    """More commands are waiting than the exchange takes; this one was not looked at."""


class UnavailableError(SourceError):
    """The exchange's state is being rebuilt; this command was not looked at."""


class CommandCrashedError(SourceError):
    """The machine broke on this command. Its effects were undone; it is in no block."""


class NoRoomError(SourceError):
    """The disk is full. The command's effects were undone; it is in no block."""


class CommitFailedError(SourceError):
    """The disk failed while the command was being made durable. It may or may not have happened."""


class GenesisError(ActorsError):
    """A new exchange could not be opened as configured; its log is still empty."""


class HistoryLostError(ActorsError):
    """The history's file was deleted or replaced under its writer, whose restart makes it anew."""


class LostPartError(ActorsError):
    """A view missed a part of a block, or the router a block. Its restart mends that."""


class StorageError(ActorsError):
    """The data directory cannot be used as it is."""
