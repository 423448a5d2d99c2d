from model.events import Event, Leg, Traded, TwapEnd, TwapEnded, TwapStarted
from model.ids import Address, AssetId, OrderId, TradeId
from model.views.records import Moment
from model.views.twaps import Twaps, running_of

BTC = AssetId(0)
ALICE, BOB = Address("0x" + "a" * 40), Address("0x" + "b" * 40)
AT = Moment(height=7, time_ms=1_000, index=2)
STARTED = TwapStarted(ALICE, 3, BTC, True, 100, False, 30, True)


def sliced(lots: int, twap_id: int | None = 3) -> Event:
    taker = Leg(ALICE, OrderId(5), None, 0, 0, 0, 0, 0, twap_id)
    maker = Leg(BOB, OrderId(4), None, 0, 0, 0, 0)
    return Traded(BTC, TradeId(1), 10, lots, True, taker, maker)


def test_slices_add_up_until_the_end() -> None:
    """Only trades of the TWAP itself count, and the last record has the exchange's own sums."""
    twaps = Twaps(account=ALICE)
    first = twaps.apply(STARTED, AT)
    for event in (sliced(20), sliced(30), sliced(7, None)):
        assert twaps.apply(event, AT) is None
    (running,) = twaps
    last = twaps.apply(TwapEnded(ALICE, 3, BTC, TwapEnd.FINISHED, 50, 500), AT)

    assert first is not None
    assert last is not None
    assert (running.executed_lots, running.executed_notional) == (50, 500)
    assert (first.status, last.status, last.executed_lots) == ("activated", "finished", 50)
    assert running_of(first).twap_id == 3
    assert list(twaps) == []


def test_twaps_of_others_are_not_followed() -> None:
    """A table of one account tells of that account."""
    twaps = Twaps(account=BOB)

    assert twaps.apply(STARTED, AT) is None
    assert twaps.apply(TwapEnded(ALICE, 3, BTC, TwapEnd.STOPPED, 0, 0), AT) is None
    assert list(twaps) == []


def test_changed_twaps_are_told_once() -> None:
    """A store that asks after each batch writes only what changed."""
    twaps = Twaps()
    twaps.apply(STARTED, AT)
    twaps.apply(sliced(20), AT)

    assert [twap.executed_lots for twap in twaps.take_touched()] == [20]
    assert twaps.take_touched() == []
