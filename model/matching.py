"""The matching engine: places, matches and cancels orders, moves positions and money.

Price-time priority. An order meets the best resting orders of the other side for as long as its
limit allows, each at the resting order's price. A resting order of the same account is cancelled
instead of traded with (*expire maker*). Before each trade both accounts are asked whether they can
carry it: a taker that cannot loses the rest of its order, a maker that cannot loses its order and
matching goes on. A taker whose trade would lift open interest beyond the market's cap loses the
rest of its order as well. After each trade resting reduce-only orders that exceed what is left of a
position are cancelled, oldest first.

All checks come before the first change, so a refused order leaves nothing behind. ``place`` and
``cancel`` are the hot path: they are long and flat on purpose, since a call costs as much here as
three comparisons.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from model import spot, trigger_entry, triggers
from model.accounts import Account, Position
from model.commands import CancelSpec, OpenExchange, OrderSpec, Tif
from model.events import (
    CancelReason,
    CancelRefused,
    Event,
    Leg,
    OrderCanceled,
    OrderPlaced,
    OrderRefused,
    Traded,
    TradeKind,
)
from model.fees import (
    OPEN_ORDERS_MAX,
    FeeBook,
    FeeSchedule,
    fee_towards_exchange,
    open_orders_max,
)
from model.ids import SPOT_ASSETS_FROM, Address, AssetId, OrderId, TokenId, TradeId
from model.instruments import USDC_TOKEN, Token
from model.margin import adjust, can_carry, demand_of, isolated_transfer, refresh
from model.markets import Market
from model.orders import NOTIONAL_MIN, Order, form_refusal, liquidity_refusal
from model.refusals import Refusal
from model.triggers import MarketTriggers, Trigger
from model.twap import Twaps
from model.watch import Watch

_GTC: Final = Tif.GTC
_ALO: Final = Tif.ALO
_LIQUIDATION: Final = Tif.LIQUIDATION_MARKET


class MatchingEngine:
    """All markets and accounts, and the counters that number orders and trades.

    ``epoch`` advances whenever a mark price moves. ``time_ms`` is the time of the block being
    executed and ``day`` the day that it falls on. ``fees`` is what was collected so far, in
    micro-USD; ``schedule`` says what is charged. ``scheduled`` are the accounts with a scheduled
    cancel, earliest first; ``triggers`` are the armed triggers of markets that ever had one.

    ``insurance`` is what pays when a liquidated account has lost more than it had, in micro-USD;
    below zero it is debt that nobody covers. ``next_sample_ms`` and ``next_payment_ms`` are when
    funding is sampled and paid next; ``watch`` knows whose health is to be looked at.

    ``markets`` are the perpetuals and ``pairs`` the spot pairs, ``tokens`` what is held in spot
    balances. Of each token, ``supply`` is what all balances and fees come to, and ``token_fees``
    what was collected, in 1e-8 tokens. ``credited_usd`` came from outside so far, USDC in spot
    included, and ``withdrawn_usd`` left.
    """

    __slots__ = (
        "accounts",
        "credited_usd",
        "day",
        "epoch",
        "fees",
        "insurance",
        "markets",
        "next_oid",
        "next_payment_ms",
        "next_sample_ms",
        "next_trade_id",
        "pairs",
        "schedule",
        "scheduled",
        "supply",
        "time_ms",
        "token_fees",
        "tokens",
        "triggers",
        "twaps",
        "watch",
        "withdrawn_usd",
    )

    def __init__(self) -> None:
        self.markets: list[Market] = []
        self.accounts: dict[Address, Account] = {}
        self.epoch = 0
        self.time_ms = 0
        self.day = 0
        self.next_oid = OrderId(1)
        self.next_trade_id = TradeId(1)
        self.schedule = FeeSchedule(OpenExchange(0, 0))
        self.fees = 0
        self.scheduled: list[tuple[int, Address]] = []
        self.triggers: dict[AssetId, MarketTriggers] = {}
        self.twaps = Twaps()
        self.insurance = 0
        self.next_sample_ms = 0
        self.next_payment_ms = 0
        self.watch = Watch()
        self.credited_usd = 0
        self.withdrawn_usd = 0
        self.pairs: list[Market] = []
        self.tokens: list[Token] = [USDC_TOKEN]
        self.supply: list[int] = [0]
        self.token_fees: list[int] = [0]

    def fee_book(self, account: Account) -> FeeBook:
        """Return an account's fee book with the rates of today."""
        book = account.fees
        if book.day != self.day:
            self.schedule.assess(book, self.day)
        return book

    def token_or_none(self, token: TokenId) -> Token | None:
        """Return a token, or ``None`` if there is none of that id."""
        return self.tokens[token] if 0 <= token < len(self.tokens) else None

    # ---- placing -----------------------------------------------------------------------------

    def place(  # noqa: C901, PLR0911, PLR0912, PLR0915 - the hot path, flat on purpose
        self,
        account: Account,
        spec: OrderSpec,
        events: list[Event],
        oid: OrderId | None = None,
        twap_id: int | None = None,
    ) -> None:
        """Place one order: refuse it, or match it and let what is left rest or go.

        The first event tells which. ``oid`` is that of the trigger that becomes this order;
        ``twap_id`` that of the TWAP whose slice this is, which may be small.
        """
        asset = spec.asset
        if not 0 <= asset < len(self.markets):
            spot.place(self, account, spec, events)
            return
        market = self.markets[asset]
        price = market.prices.get(spec.price_e8, 0)
        lots, beyond = divmod(spec.size_e8, market.lot_e8)
        if (
            beyond
            or not market.price_low <= price <= market.price_high
            or not NOTIONAL_MIN <= price * lots <= market.market_notional_max
            or spec.trigger is not None
        ):
            if spec.trigger is not None:
                trigger_entry.place(self, account, spec, events)
                return
            reason = form_refusal(market, spec, is_slice=twap_id is not None)
            if reason is not None:
                events.append(OrderRefused(account.address, spec, reason))
                return
            price = market.prices[spec.price_e8]

        if account.epoch != self.epoch:
            refresh(account, self.markets, self.epoch)
        position = account.positions.get(asset) or account.position(market)
        is_buy = spec.is_buy
        reduce_only = spec.reduce_only
        tif = spec.tif
        cloid = spec.cloid
        if is_buy:
            limit_key = -price
            opposite = market.asks
            worst = position.size + position.resting_buys + lots
        else:
            limit_key = price
            opposite = market.bids
            worst = position.resting_sells + lots - position.size
        crosses = bool(opposite.keys) and opposite.keys[-1] >= limit_key

        if cloid is not None and cloid in account.cloids:
            events.append(OrderRefused(account.address, spec, Refusal.CLOID_IN_USE))
            return
        if reduce_only:
            if position.size == 0 or (position.size > 0) is is_buy:
                events.append(OrderRefused(account.address, spec, Refusal.REDUCE_ONLY_INCREASES))
                return
            lots = min(lots, abs(position.size))
        elif market.open_interest_max:
            capped = market.cap_refusal(position.size, lots, is_buy=is_buy)
            if capped is not None:
                events.append(OrderRefused(account.address, spec, capped))
                return
        if tif is not _GTC and (tif is _ALO) is crosses:
            self._refuse_for_liquidity(account, spec, market, events)
            return
        if (
            (len(account.orders) >= OPEN_ORDERS_MAX or account.triggers is not None)
            and (tif is _GTC or tif is _ALO)
            and oid is None
        ):
            most = OPEN_ORDERS_MAX if reduce_only else open_orders_max(account.volume)
            if account.open_count() >= most:
                events.append(
                    OrderRefused(account.address, spec, Refusal.OPEN_ORDERS_AT_MAX, (most,))
                )
                return
        margin = position.margin
        if not reduce_only:
            notional = worst * market.mark
            if notional > position.notional_max:
                events.append(OrderRefused(account.address, spec, Refusal.MARGIN_TIER_EXCEEDED))
                return
            if position.is_cross:
                wanted = -(notional // -position.leverage)
            else:
                buys = position.resting_buys + (lots if is_buy else 0)
                sells = position.resting_sells + (0 if is_buy else lots)
                wanted = demand_of(position, market.mark, position.size, buys, sells)
            if wanted > margin:
                value = account.value
                if crosses:
                    value -= self._cost_of_crossing(account, market, is_buy, lots)
                if value < account.required + wanted - margin:
                    events.append(OrderRefused(account.address, spec, Refusal.MARGIN_TOO_LOW))
                    return
                margin = wanted

        if oid is None:
            oid = self.next_oid
            self.next_oid += 1  # type: ignore[assignment]  # NewType would cost a call
        address = account.address
        events.append(
            OrderPlaced(asset, address, oid, is_buy, price, lots, tif, reduce_only, cloid, twap_id)
        )
        order = Order(
            asset, address, oid, is_buy, price, lots, lots, tif, reduce_only, cloid, self.time_ms
        )
        if crosses:
            self.match(account, position, market, order, events)
            if order.remaining == 0:
                return
            if tif is not _GTC:
                self.report_canceled(order, CancelReason.IOC_REMAINDER, events)
                return
        (market.bids if is_buy else market.asks).add(order)
        account.index(order, position)
        if reduce_only:
            self.trim(account, position, market, events)
        elif crosses:
            adjust(account, position, market.mark)
        else:
            account.required += margin - position.margin
            position.margin = margin

    def _refuse_for_liquidity(
        self, account: Account, spec: OrderSpec, market: Market, events: list[Event]
    ) -> None:
        refused = liquidity_refusal(market, spec.tif)
        events.append(OrderRefused(account.address, spec, *refused))

    def _cost_of_crossing(self, account: Account, market: Market, is_buy: bool, lots: int) -> int:
        """Return what a taker loses at once, against the mark, if all fills at the best price."""
        best = (market.asks if is_buy else market.bids).best_price()
        worse = best - market.mark if is_buy else market.mark - best
        rate = self.fee_book(account).taker_ppm
        return max(0, worse * lots) + fee_towards_exchange(best * lots, rate)

    # ---- matching ----------------------------------------------------------------------------

    def match(  # noqa: C901 - the hot path, flat on purpose
        self,
        account: Account,
        position: Position,
        market: Market,
        taker: Order,
        events: list[Event],
    ) -> None:
        """Trade an order with the other side as far as its limit, its lots and its margin go."""
        opposite = market.asks if taker.is_buy else market.bids
        limit_key = -taker.price if taker.is_buy else taker.price
        keys = opposite.keys
        sign = 1 if taker.is_buy else -1
        fees = self.fee_book(account)
        traded = self.schedule.traded
        while taker.remaining and keys and keys[-1] >= limit_key:
            maker = opposite.first()
            if maker.account == taker.account:
                self.expel(account, maker, CancelReason.SELF_TRADE, events)
                continue
            price = maker.price
            lots = min(taker.remaining, maker.remaining)
            notional = price * lots
            taker_fee = fee_towards_exchange(notional, fees.taker_ppm)
            if not can_carry(
                account,
                position,
                mark=market.mark,
                signed_lots=sign * lots,
                price=price,
                fee=taker_fee,
            ):
                self.report_canceled(taker, CancelReason.MARGIN, events)
                taker.remaining = 0
                return
            maker_account = self.accounts[maker.account]
            if maker_account.epoch != self.epoch:
                refresh(maker_account, self.markets, self.epoch)
            maker_position = maker_account.positions[maker.asset]
            maker_fees = maker_account.fees
            if maker_fees.day != self.day:
                self.schedule.assess(maker_fees, self.day)
            maker_fee = fee_towards_exchange(notional, maker_fees.maker_ppm)
            if not can_carry(
                maker_account,
                maker_position,
                mark=market.mark,
                signed_lots=-sign * lots,
                price=price,
                fee=maker_fee,
                from_resting=0 if maker.reduce_only else lots,
            ):
                self.expel(maker_account, maker, CancelReason.MARGIN, events)
                continue
            if market.open_interest_max and market.exceeds_cap(
                position.size, maker_position.size, sign * lots
            ):
                self.report_canceled(taker, CancelReason.OPEN_INTEREST, events)
                taker.remaining = 0
                return
            taker.remaining -= lots
            self._fill_maker(maker_account, maker_position, market, maker, lots)
            taker_leg = self.settle(
                account,
                position,
                market,
                taker,
                signed_lots=sign * lots,
                price=price,
                fee=taker_fee,
            )
            maker_leg = self.settle(
                maker_account,
                maker_position,
                market,
                maker,
                signed_lots=-sign * lots,
                price=price,
                fee=maker_fee,
            )
            traded.volume += notional
            fees.volume += notional
            maker_fees.volume += notional
            maker_fees.maker += notional
            market.last = price
            trade_id = self.next_trade_id
            self.next_trade_id += 1  # type: ignore[assignment]  # NewType would cost a call
            event = Traded(taker.asset, trade_id, price, lots, taker.is_buy, taker_leg, maker_leg)
            if taker.tif is _LIQUIDATION:
                event = replace(
                    event,
                    kind=TradeKind.LIQUIDATION,
                    mark=market.mark,
                    is_isolated=not position.is_cross,
                )
            events.append(event)
            if position.reducing:
                self.trim(account, position, market, events)
            if maker_position.reducing:
                self.trim(maker_account, maker_position, market, events)
            if account.triggers is not None:
                self._tell_triggers(account, taker, events)
            if maker_account.triggers is not None:
                self._tell_triggers(maker_account, maker, events)

    def _fill_maker(
        self, account: Account, position: Position, market: Market, maker: Order, lots: int
    ) -> None:
        """Take lots off a resting order, and the order off the book when nothing is left."""
        maker.remaining -= lots
        if maker.reduce_only:
            position.reducing_lots -= lots
        elif maker.is_buy:
            position.resting_buys -= lots
        else:
            position.resting_sells -= lots
        if maker.remaining == 0:
            (market.bids if maker.is_buy else market.asks).remove(maker)
            account.forget(maker, position)

    def settle(
        self,
        account: Account,
        position: Position,
        market: Market,
        order: Order,
        *,
        signed_lots: int,
        price: int,
        fee: int,
        keeps_margin: bool = False,
    ) -> Leg:
        """Move one side's position and money by a trade; return its side of the event."""
        start = position.size
        cost = signed_lots * price
        margin = 0
        if position.is_cross:
            profit = position.trade(signed_lots, price)
            account.cash -= cost + fee
            account.value -= signed_lots * (price - market.mark) + fee
        else:
            if not keeps_margin:
                margin = isolated_transfer(position, market.mark, signed_lots, price)
            profit = position.trade(signed_lots, price)
            position.isolated_usd += margin - cost
            account.cash -= margin + fee
            account.value -= margin + fee
        account.touched.add(account.address)
        if not start or not position.size:
            market.hold(account.address, position)
        account.volume += abs(cost)
        self.fees += fee
        market.open_interest += max(position.size, 0) - max(start, 0)
        adjust(account, position, market.mark)
        return Leg(
            account.address, order.oid, order.cloid, order.remaining, start, profit, fee, margin
        )

    def trim(
        self, account: Account, position: Position, market: Market, events: list[Event]
    ) -> None:
        """Cancel reduce-only orders, oldest first, until the rest only reduces the position."""
        for order in list(position.reducing.values()):
            reduces = order.is_buy is (position.size < 0)
            if reduces and position.reducing_lots <= abs(position.size):
                return
            self.expel(account, order, CancelReason.REDUCE_ONLY, events)

    def _tell_triggers(self, account: Account, order: Order, events: list[Event]) -> None:
        """Let an account's triggers follow a trade of an order of its."""
        triggers.cancel_bound(self, account, order.asset, events)
        if order.remaining == 0:
            triggers.order_filled(self, account, order.oid, events)

    # ---- cancelling --------------------------------------------------------------------------

    def cancel(self, account: Account, spec: CancelSpec, events: list[Event]) -> None:
        """Cancel one order of the account, or say that there is none."""
        target = spec.target
        order = account.find(target)
        if order is None or order.asset != spec.asset:
            events.append(
                CancelRefused(account.address, spec.asset, target, Refusal.CANCEL_NOTHING_THERE)
            )
            return
        if isinstance(order, Trigger):
            triggers.cancel(self, account, order, CancelReason.CANCELED, events)
        else:
            self.expel(account, order, CancelReason.CANCELED, events)

    def cancel_all(
        self,
        account: Account,
        reason: CancelReason,
        events: list[Event],
        asset: AssetId | None = None,
    ) -> None:
        """Cancel all open orders of an account, or those in one market, triggers first."""
        if account.triggers is not None:
            for trigger in list(account.triggers.orders.values()):
                if asset is None or trigger.asset == asset:
                    triggers.cancel(self, account, trigger, reason, events)
        for order in list(account.orders.values()):
            if (asset is None or order.asset == asset) and order.oid in account.orders:
                self.expel(account, order, reason, events)

    def replace(
        self, account: Account, order: Order | Trigger, spec: OrderSpec, events: list[Event]
    ) -> None:
        """Cancel an order in favour of a new one."""
        if isinstance(order, Trigger):
            triggers.cancel(self, account, order, CancelReason.MODIFIED, events)
            trigger_entry.replace(self, account, order, spec, events)
        else:
            self.expel(account, order, CancelReason.MODIFIED, events)
            self.place(account, spec, events)

    def expel(
        self, account: Account, order: Order, reason: CancelReason, events: list[Event]
    ) -> None:
        """Take a resting order off the book and out of all indexes, and report it."""
        if order.asset >= SPOT_ASSETS_FROM:
            spot.expel(self, account, order, reason, events)
            return
        market = self.markets[order.asset]
        position = account.positions[order.asset]
        (market.bids if order.is_buy else market.asks).remove(order)
        account.forget(order, position)
        adjust(account, position, market.mark)
        events.append(
            OrderCanceled(order.asset, account.address, order.oid, order.remaining, reason)
        )
        if account.triggers is not None:
            triggers.order_canceled(self, account, order, reason, events)

    def report_canceled(self, order: Order, reason: CancelReason, events: list[Event]) -> None:
        """Tell that what an order has left is gone; it rests nowhere."""
        events.append(OrderCanceled(order.asset, order.account, order.oid, order.remaining, reason))
