"""Answers about orders and TWAPs."""

from __future__ import annotations

from actors.history_queries import HistoryReader
from api.gateway import Gateway
from api.info.questions import Question, check_dex, order_target, user_of
from api.wire import orders, twaps
from api.wire.frames import encode
from model.ids import Address
from model.views.account import AccountView
from model.views.records import OrderRecord


async def open_orders(gateway: Gateway, question: Question) -> bytes:
    """Answer ``openOrders``, those that wait for a price included: newest first."""
    check_dex(question)
    universe = gateway.directory.universe
    return await gateway.read_account(
        user_of(question), lambda view: encode(orders.basic_orders(_newest_first(view), universe))
    )


async def frontend_open_orders(gateway: Gateway, question: Question) -> bytes:
    """Answer ``frontendOpenOrders``: newest first."""
    check_dex(question)
    universe = gateway.directory.universe
    return await gateway.read_account(
        user_of(question),
        lambda view: encode(orders.frontend_orders(_newest_first(view), universe)),
    )


async def order_status(gateway: Gateway, question: Question) -> bytes:
    """Answer ``orderStatus``.

    That an order is unknown is only said once whatever was sent before has been decided: a
    client whose outcome was unknown may rely on it, and place the order anew.
    """
    target, user = order_target(question), user_of(question)

    def find(reader: HistoryReader) -> OrderRecord | None:
        return reader.order(user, target)

    record = await gateway.read_history(find)
    if record is None:
        height = await _decided_height(gateway, user)
        record = await gateway.history.read(find, seen_height=height)
    return encode(orders.order_status(record, gateway.directory.universe))


async def historical_orders(gateway: Gateway, question: Question) -> bytes:
    """Answer ``historicalOrders``: newest first."""
    user = user_of(question)
    found = await gateway.read_history(lambda reader: reader.orders_of(user))
    return encode(orders.historical_orders(found, gateway.directory.universe))


async def twap_history(gateway: Gateway, question: Question) -> bytes:
    """Answer ``twapHistory``: newest first."""
    user = user_of(question)
    found = await gateway.read_history(lambda reader: reader.twaps_of(user))
    return encode(twaps.twap_history(found, gateway.directory.universe))


async def _decided_height(gateway: Gateway, user: Address) -> int:
    """Return a height at which everything is decided that was handed in before.

    Reads overtake the commands that wait beside them, so it takes a second one.
    """
    await gateway.source.account(user)
    return (await gateway.source.account(user)).height


def _newest_first(view: AccountView) -> list[OrderRecord]:
    return view.open_orders.records()[::-1]
