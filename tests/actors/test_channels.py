from actors.channels import Channel, Channels, ChannelsByKey
from actors.subscription import Ended, Policy
from tests.actors.listeners import Listener

BOOK, TRADES = Channel("l2Book"), Channel("trades")


async def test_who_is_in_is_in_once() -> None:  # noqa: ASYNC124
    """A subscriber is taken in once, and let go without a trace."""
    channels, listener = Channels(), Listener(BOOK)

    assert channels.add(BOOK, listener.subscription)
    assert not channels.add(BOOK, listener.subscription)
    assert list(channels) == [BOOK]
    assert list(channels.of_kind("l2Book")) == [BOOK]
    channels.discard(BOOK, listener.subscription)
    channels.discard(BOOK, listener.subscription)
    assert not channels
    assert not channels.of_kind("l2Book")


async def test_who_has_ended_is_not_taken_in() -> None:  # noqa: ASYNC124
    """A subscription that ended on the way leaves no trace."""
    channels, listener = Channels(), Listener(BOOK)
    listener.subscription.end(Ended.UNSUBSCRIBED)

    assert not channels.add(BOOK, listener.subscription)
    assert len(channels) == 0


async def test_ending_some_kinds_leaves_the_others() -> None:  # noqa: ASYNC124
    """Those who are ended hear of it once, and are out of the table."""
    channels, book, trades = Channels(), Listener(BOOK), Listener(TRADES)
    channels.add(BOOK, book.subscription)
    channels.add(TRADES, trades.subscription)
    channels.end_all(Ended.CRASHED, ("trades",))
    assert (trades.endings, book.endings) == ([Ended.CRASHED], [])
    channels.end_all(Ended.CRASHED)

    assert book.endings == [Ended.CRASHED]
    assert len(channels) == 0


async def test_a_table_is_dropped_only_when_empty() -> None:  # noqa: ASYNC124
    """A subject without subscribers costs nothing."""
    tables: ChannelsByKey[str] = ChannelsByKey()
    listener = Listener(BOOK)
    tables.of("a").add(BOOK, listener.subscription)
    tables.drop_if_empty("a")
    assert tables.get("a") is not None
    tables.of("a").discard(BOOK, listener.subscription)
    tables.drop_if_empty("a")
    tables.drop_if_empty("b")

    assert tables.get("a") is None
    assert len(tables) == 0


def test_policies() -> None:
    """Where every frame counts, none is dropped; of a state only the newest matters."""
    assert TRADES.policy is Policy.LOSSLESS
    assert BOOK.policy is Policy.LATEST
