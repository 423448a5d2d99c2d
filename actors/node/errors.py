"""What can go wrong with a node's data so that nothing can be made of it."""

from __future__ import annotations

from actors.errors import StorageError


class NodeDataError(StorageError):
    """The folder or the snapshot is not what it should be; the text names it."""
