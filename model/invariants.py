"""What must hold between any two commands, checked the slow and obvious way.

Nothing here trusts what the machine keeps for speed: every sum is computed anew from orders,
positions and cash. Meant for tests, for the start from a snapshot, and for a machine that has
nothing better to do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from model.accounts import Account, Position
from model.book import BookSide
from model.errors import require as _require
from model.exchange import Exchange
from model.ids import SPOT_ASSETS_FROM, AssetId, Cloid, OrderId
from model.margin_invariants import check_margin
from model.markets import Market
from model.money_invariants import check_money
from model.nonces import NONCES_KEPT
from model.orders import Order
from model.triggers import AccountTriggers, Trigger
from model.twap import Twap


def check(exchange: Exchange) -> None:
    """Check everything.

    Raises:
        BrokenInvariantError: naming the first thing that does not hold.
    """
    for market in exchange.engine.markets + exchange.engine.pairs:
        _check_book(market)
    for account in exchange.engine.accounts.values():
        _check_orders(exchange, account)
        _check_positions(exchange, account)
    _check_indexes(exchange)
    _check_conservation(exchange)
    check_money(exchange)
    check_margin(exchange)
    _check_agents(exchange)
    _check_nonces(exchange)
    _check_schedules(exchange)
    _check_triggers(exchange)
    _check_twaps(exchange)


# ---- books -----------------------------------------------------------------------------------


def _check_book(market: Market) -> None:
    name = market.instrument.name
    for side in (market.bids, market.asks):
        _check_side(name, side)
    bid, ask = market.bids.best_price(), market.asks.best_price()
    _require(not bid or not ask or bid < ask, f"{name}: the book is crossed, {bid} against {ask}")
    _require(market.price_low >= 1, f"{name}: the price band reaches zero")


def _check_side(name: str, side: BookSide) -> None:
    _require(side.keys == sorted(side.levels), f"{name}: levels and their sorted keys differ")
    for key, level in side.levels.items():
        _require(bool(level), f"{name}: level {key} is empty")
        arrivals = [order.placed_ms for order in level.values()]
        _require(arrivals == sorted(arrivals), f"{name}: level {key} is not in order of arrival")
        for oid, order in level.items():
            _require(order.oid == oid, f"{name}: order {oid} is filed under a wrong id")
            _require(order.price * side.sign == key, f"{name}: order {oid} is at a wrong level")
            _require(order.is_buy == (side.sign > 0), f"{name}: order {oid} is on a wrong side")
            _require(0 < order.remaining <= order.lots, f"{name}: order {oid} has impossible lots")


# ---- accounts --------------------------------------------------------------------------------


def _orders_in_books(exchange: Exchange) -> Iterator[Order]:
    for market in exchange.engine.markets + exchange.engine.pairs:
        yield from market.bids
        yield from market.asks


def _check_indexes(exchange: Exchange) -> None:
    """Every order in a book is known to its account, and accounts know no others."""
    accounts = exchange.engine.accounts
    in_books = list(_orders_in_books(exchange))
    for order in in_books:
        owner = accounts.get(order.account)
        _require(
            owner is not None and owner.orders.get(order.oid) is order,
            f"order {order.oid} is in a book but not with its account",
        )
    known = sum(len(account.orders) for account in accounts.values())
    _require(known == len(in_books), f"accounts know {known} orders, books {len(in_books)}")
    highest = max((order.oid for order in in_books), default=0)
    _require(highest < exchange.engine.next_oid, "an order's id is yet to be given out")


def _check_orders(exchange: Exchange, account: Account) -> None:
    where = account.address
    _require(list(account.orders) == sorted(account.orders), f"{where}: orders are out of order")
    held = account.triggers.orders.values() if account.triggers else ()
    cloids: dict[Cloid, object] = {
        order.cloid: order for order in (*account.orders.values(), *held) if order.cloid is not None
    }
    _require(
        cloids.keys() == account.cloids.keys()
        and all(account.cloids[cloid] is order for cloid, order in cloids.items()),
        f"{where}: the index of client ids differs from the orders",
    )
    for order in account.orders.values():
        _require(order.account == where, f"{where}: holds order {order.oid} of {order.account}")
        _require(
            order.asset in account.positions or order.asset >= SPOT_ASSETS_FROM,
            f"{where}: order {order.oid} reserves nothing",
        )


def _check_positions(exchange: Exchange, account: Account) -> None:
    for asset, position in account.positions.items():
        where = f"{account.address} in market {asset}"
        orders = [order for order in account.orders.values() if order.asset == asset]
        increasing = [order for order in orders if not order.reduce_only]
        reducing = [order for order in orders if order.reduce_only]
        for kept, is_buy in ((position.resting_buys, True), (position.resting_sells, False)):
            lots = sum(order.remaining for order in increasing if order.is_buy is is_buy)
            _require(kept == lots, f"{where}: keeps {kept} resting lots, has {lots}")
        _require(
            list(position.reducing) == [order.oid for order in reducing],
            f"{where}: the index of reduce-only orders differs from the orders",
        )
        lots = sum(order.remaining for order in reducing)
        _require(lots == position.reducing_lots, f"{where}: the sum of reduce-only lots is wrong")
        _require(lots <= abs(position.size), f"{where}: reduce-only orders exceed the position")
        _require(
            all(order.is_buy is (position.size < 0) for order in reducing),
            f"{where}: a reduce-only order would increase the position",
        )
        _check_entry(where, position)


def _check_entry(where: str, position: Position) -> None:
    _require(
        position.entry_notional * position.size >= 0
        and (position.size != 0 or not position.entry_notional),
        f"{where}: the entry notional contradicts the size",
    )


# ---- the whole -------------------------------------------------------------------------------


def _check_conservation(exchange: Exchange) -> None:
    """Positions of a market cancel out, so the value of all accounts is their cash at any marks."""
    engine = exchange.engine
    sizes: Counter[AssetId] = Counter()
    longs: Counter[AssetId] = Counter()
    for account in engine.accounts.values():
        for asset, position in account.positions.items():
            sizes[asset] += position.size
            longs[asset] += max(position.size, 0)
    for market in engine.markets:
        asset = market.instrument.asset
        name = market.instrument.name
        _require(sizes[asset] == 0, f"{name}: positions sum to {sizes[asset]}, not to zero")
        _require(longs[asset] == market.open_interest, f"{name}: the open interest is wrong")


def _check_agents(exchange: Exchange) -> None:
    agents = exchange.agent_book.agents
    named = {
        address: (account.address, name)
        for account in exchange.engine.accounts.values()
        for name, address in account.agents.items()
    }
    registered = {address: (agent.master, agent.name) for address, agent in agents.items()}
    _require(named == registered, "agents and the accounts that named them disagree")


def _check_nonces(exchange: Exchange) -> None:
    for signer, kept in exchange.nonces.items():
        _require(
            0 < len(kept) <= NONCES_KEPT and kept == sorted(set(kept)),
            f"{signer}: kept nonces are not at most {NONCES_KEPT} in ascending order",
        )


def _check_schedules(exchange: Exchange) -> None:
    accounts = exchange.engine.accounts.values()
    scheduled = [(a.cancel_at_ms, a.address) for a in accounts if a.cancel_at_ms is not None]
    _require(
        sorted(scheduled) == exchange.engine.scheduled,
        "the list of scheduled cancels differs from the accounts",
    )


# ---- triggers ----------------------------------------------------------------------------------


def _check_triggers(exchange: Exchange) -> None:
    armed: dict[AssetId, list[Trigger]] = {}
    for account in exchange.engine.accounts.values():
        held = account.triggers
        if held is None:
            continue
        _check_families(account, held)
        for oid, trigger in held.orders.items():
            where = f"{account.address}: trigger {oid}"
            _require(trigger.oid == oid < exchange.engine.next_oid, f"{where} has a wrong id")
            _require(trigger.account == account.address, f"{where} is of {trigger.account}")
            _require(trigger.reduce_only, f"{where} could increase a position")
            if trigger.is_armed:
                armed.setdefault(trigger.asset, []).append(trigger)
            if trigger.is_position:
                size = account.positions[trigger.asset].size
                _require(trigger.is_buy is (size < 0) and size != 0, f"{where} has no position")
        bound = {oid for kept in held.bound.values() for oid in kept}
        positions = {oid for oid, trigger in held.orders.items() if trigger.is_position}
        _require(bound == positions, f"{account.address}: the index of bound triggers is wrong")
    _check_armed(exchange, armed)


def _check_families(account: Account, held: AccountTriggers) -> None:
    where = account.address
    children: dict[OrderId, set[OrderId]] = {}
    for oid, trigger in held.orders.items():
        parent = trigger.parent
        if parent is not None:
            children.setdefault(parent, set()).add(oid)
        waits = parent is not None and parent in account.orders
        _require(trigger.is_armed is not waits, f"{where}: trigger {oid} is armed at a wrong time")
    for oid, parent in held.fired.items():
        _require(oid in account.orders, f"{where}: order {oid} that was a trigger is gone")
        if parent is not None:
            children.setdefault(parent, set()).add(oid)
    kept = {parent: set(oids) for parent, oids in held.children.items()}
    _require(kept == children, f"{where}: the index of children is wrong")


def _check_armed(exchange: Exchange, armed: dict[AssetId, list[Trigger]]) -> None:
    for asset, kept in exchange.engine.triggers.items():
        triggers = armed.pop(asset, [])
        above = sorted((t.terms.price, t.oid) for t in triggers if t.terms.is_above)
        below = sorted((-t.terms.price, t.oid) for t in triggers if not t.terms.is_above)
        _require(
            kept.triggers == {trigger.oid: trigger for trigger in triggers}
            and (kept.above, kept.below) == (above, below),
            f"market {asset}: the lists of armed triggers are wrong",
        )
    _require(not armed, "armed triggers are in no list")


# ---- TWAPs -------------------------------------------------------------------------------------


def _check_twaps(exchange: Exchange) -> None:
    twaps = exchange.engine.twaps
    for twap_id, twap in twaps.by_id.items():
        where = f"TWAP {twap_id}"
        _require(twap.twap_id == twap_id < twaps.next_id, f"{where} has a wrong id")
        _require(0 <= twap.executed_lots < twap.lots, f"{where} has nothing left to trade")
        _require(0 <= twap.slices <= twap.slices_max, f"{where} has too many slices")
    by_account: dict[str, dict[int, Twap]] = {}
    for twap_id, twap in sorted(twaps.by_id.items()):
        by_account.setdefault(twap.account, {})[twap_id] = twap
    _require(twaps.by_account == by_account, "TWAPs and their accounts disagree")
    due = sorted((twap.due_ms, twap.twap_id) for twap in twaps.by_id.values())
    _require(twaps.due == due, "the list of due TWAPs is wrong")
