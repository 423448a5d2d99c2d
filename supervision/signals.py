"""What an actor may raise on purpose. None of these is a failure."""


class Signal(Exception):
    """Base of what is raised on purpose. ``outcome`` is the word for it in a trace."""

    outcome = "ended"


class Stop(Signal):
    """Raise it in a handler to end the actor on purpose.

    Args:
        reason: words for the report.
        shutdown: end with SHUTDOWN rather than NORMAL. Neither restarts a transient child.
    """

    def __init__(self, reason: str = "", *, shutdown: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.shutdown = shutdown


class Ignore(Signal):
    """Raise it in ``init`` to say that there is nothing to run: no failure, no incarnation."""


class Aloof(Signal):
    """Base of what a handler raises instead of handling the message; the actor goes on."""


class Stash(Aloof):
    """Raise it in ``handle`` to put the message in hand aside until ``context.unstash``.

    It keeps its place among the stashed ones, its reply and its asker's deadline. An actor stashes
    at most ``stash_max`` messages; one more is a failure, `StashFull`. Not for ``handle_batch``,
    which can keep what it likes.
    """

    outcome = "stashed"


class Unhandled(Aloof):
    """Raise it in ``handle`` for a message that this actor does not know. The actor goes on.

    An asker gets `NotUnderstood`; a tell becomes a dead letter.
    """

    outcome = "unknown"
