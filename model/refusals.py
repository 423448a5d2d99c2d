"""Refusals: every reason to say no, its wire text and its order status, in one table.

Ranges: 1xx the form of an order, 2xx the state of the account, 3xx the state of the book, 4xx
orders that are not there, 5xx who signed and when, 6xx accounts and money, 7xx leverage, 8xx what
operators ask for. Texts are those that clients of Hyperliquid compare by substring; the full stop
belongs to the text, and `` asset=<id>`` follows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final

from attrs import frozen


class Refusal(IntEnum):
    """Why something was refused. Numbers are part of the journal format."""

    PRICE_OFF_GRID = 101
    PRICE_INVALID = 102
    SIZE_OFF_GRID = 103
    SIZE_ZERO = 104
    NOTIONAL_TOO_SMALL = 105
    ASSET_UNKNOWN = 106
    PRICE_TOO_FAR = 107
    CLOID_IN_USE = 108
    BATCH_EMPTY = 109
    NOTIONAL_TOO_LARGE = 110
    TRIGGER_PRICE_BAD = 111
    TRIGGER_NOT_REDUCING = 112
    GROUP_MAIN_IS_TRIGGER = 113
    GROUP_COUNT_WRONG = 114
    TWAP_DURATION_BAD = 115
    TWAP_TOO_SMALL = 116
    SPOT_NOTIONAL_TOO_SMALL = 117
    SPOT_PLAIN_ONLY = 118

    MARGIN_TOO_LOW = 201
    REDUCE_ONLY_INCREASES = 202
    OPEN_ORDERS_AT_MAX = 203
    SPOT_BALANCE_TOO_LOW = 204
    MARGIN_TIER_EXCEEDED = 205
    TWAP_INCREASES = 206
    TWAPS_AT_MAX = 207

    POST_ONLY_WOULD_MATCH = 301
    IOC_FOUND_NOTHING = 302
    MARKET_FOUND_NOTHING = 303
    OPEN_INTEREST_AT_CAP = 304
    OPEN_INTEREST_FLIP_AT_CAP = 305

    CANCEL_NOTHING_THERE = 401
    MODIFY_NOTHING_THERE = 402
    TWAP_NOTHING_THERE = 403

    SIGNER_UNKNOWN = 501
    DEPOSIT_MISSING = 502
    NONCE_DUPLICATE = 503
    NONCE_TOO_LOW = 504
    NONCE_TOO_HIGH = 505
    EXPIRED = 506
    VAULT_UNKNOWN = 507
    AGENT_ADDRESS_TAKEN = 508
    AGENT_NAME_LENGTH = 509
    AGENTS_AT_MAX = 510
    AGENT_VALIDITY_PAST = 511
    AGENT_VALIDITY_TOO_LONG = 512
    REQUESTS_USED_UP = 513

    TRANSFER_TOO_LARGE = 601
    TRANSFER_ZERO = 602
    TRANSFER_TO_SELF = 603
    BALANCE_AT_MAX = 604
    WITHDRAWAL_TOO_LARGE = 605
    TOKEN_UNKNOWN = 606
    SUB_ACCOUNT_NAME_LENGTH = 607
    SUB_ACCOUNTS_AT_MAX = 608
    SUB_ACCOUNT_TRANSFER_INVALID = 609
    TOKEN_NOT_IN_PERP = 610
    AMOUNT_TOO_FINE = 611
    RESERVATION_INVALID = 612
    WITHDRAWAL_TOO_SMALL = 613

    LEVERAGE_INVALID = 701
    LEVERAGE_NEEDS_MARGIN = 702
    LEVERAGE_TYPE_LOCKED = 703
    CROSS_NOT_ALLOWED = 704
    ISOLATED_NEEDS_MARGIN = 705
    MARGIN_NOT_ISOLATED = 706
    MARGIN_MOVE_ZERO = 707
    MARGIN_NO_POSITION = 708
    MARGIN_INCREASE_TOO_LARGE = 709
    MARGIN_REDUCTION_TOO_LARGE = 710
    MARGIN_STRICT = 711
    SCHEDULE_TOO_SOON = 712
    SCHEDULES_AT_MAX = 713

    EXCHANGE_NOT_OPEN = 801
    EXCHANGE_ALREADY_OPEN = 802
    FEES_INVALID = 803
    MARKET_INVALID = 804
    CREDIT_INVALID = 805
    TOKEN_INVALID = 806


@frozen
class Wire:
    """How a refusal is told to clients.

    ``text`` is filled with the refusal's detail by position. ``names_asset`` appends ``
    asset=<id>``. ``status`` is the order status that owners of a refused order see in their
    updates; ``None`` where they see none because the order never reached the matching engine.
    """

    text: str
    names_asset: bool = False
    status: str | None = None


WIRE: Final[dict[Refusal, Wire]] = {
    Refusal.PRICE_OFF_GRID: Wire("Price must be divisible by tick size.", True),
    Refusal.PRICE_INVALID: Wire("Order has invalid price."),
    Refusal.SIZE_OFF_GRID: Wire("Order has invalid size.", True),
    Refusal.SIZE_ZERO: Wire("Order has zero size.", True),
    Refusal.NOTIONAL_TOO_SMALL: Wire(
        "Order must have minimum value of $10.", True, "minTradeNtlRejected"
    ),
    Refusal.ASSET_UNKNOWN: Wire("Order has invalid asset."),
    Refusal.PRICE_TOO_FAR: Wire(
        "Order price cannot be more than 80% away from the reference price", True, "oracleRejected"
    ),
    Refusal.CLOID_IN_USE: Wire("Client order id is already used by an open order."),
    Refusal.BATCH_EMPTY: Wire("Orders are empty."),
    Refusal.NOTIONAL_TOO_LARGE: Wire("Order exceeds the maximum value of this market.", True),
    Refusal.TRIGGER_PRICE_BAD: Wire("Invalid TP/SL price.", True, "badTriggerPxRejected"),
    Refusal.TRIGGER_NOT_REDUCING: Wire("TP/SL orders must be reduce only."),
    Refusal.GROUP_MAIN_IS_TRIGGER: Wire("Main order cannot be trigger order."),
    Refusal.GROUP_COUNT_WRONG: Wire("Unexpected number of trigger orders"),
    Refusal.TWAP_DURATION_BAD: Wire("Invalid TWAP duration: {0} min(s)"),
    Refusal.TWAP_TOO_SMALL: Wire(
        "TWAP order value too small. Min is ${0}, which is $10 per minute."
    ),
    Refusal.SPOT_NOTIONAL_TOO_SMALL: Wire(
        "Order must have minimum value of 10 USDC.", True, "minTradeNtlRejected"
    ),
    Refusal.SPOT_PLAIN_ONLY: Wire("Spot orders can be neither reduce only nor TP/SL orders."),
    Refusal.SPOT_BALANCE_TOO_LOW: Wire(
        "Insufficient spot balance", True, "insufficientSpotBalanceRejected"
    ),
    Refusal.MARGIN_TIER_EXCEEDED: Wire(
        "Order would cause position to exceed margin tier limit at current leverage",
        False,
        "perpMaxPositionRejected",
    ),
    Refusal.TWAP_INCREASES: Wire("Reduce-only TWAP order would increase position."),
    Refusal.TWAPS_AT_MAX: Wire("Too many running TWAP orders. The limit is {0}."),
    Refusal.OPEN_INTEREST_AT_CAP: Wire(
        "Order would increase open interest while open interest is capped",
        False,
        "positionIncreaseAtOpenInterestCapRejected",
    ),
    Refusal.OPEN_INTEREST_FLIP_AT_CAP: Wire(
        "Order would increase open interest while open interest is capped",
        False,
        "positionFlipAtOpenInterestCapRejected",
    ),
    Refusal.MARGIN_TOO_LOW: Wire("Insufficient margin to place order.", True, "perpMarginRejected"),
    Refusal.REDUCE_ONLY_INCREASES: Wire(
        "Reduce only order would increase position.", True, "reduceOnlyRejected"
    ),
    Refusal.OPEN_ORDERS_AT_MAX: Wire("Too many open orders. The limit is {0}.", False, "rejected"),
    Refusal.POST_ONLY_WOULD_MATCH: Wire(
        "Post only order would have immediately matched, bbo was {0}@{1}.", True, "badAloPxRejected"
    ),
    Refusal.IOC_FOUND_NOTHING: Wire(
        "Order could not immediately match against any resting orders.", True, "iocCancelRejected"
    ),
    Refusal.MARKET_FOUND_NOTHING: Wire(
        "No liquidity available for market order.", True, "marketOrderNoLiquidityRejected"
    ),
    Refusal.CANCEL_NOTHING_THERE: Wire(
        "Order was never placed, already canceled, or filled.", True
    ),
    Refusal.MODIFY_NOTHING_THERE: Wire("Cannot modify canceled or filled order"),
    Refusal.TWAP_NOTHING_THERE: Wire("TWAP was never placed, already canceled, or filled."),
    Refusal.REQUESTS_USED_UP: Wire(
        "Too many cumulative requests sent ({0} > {1}) for cumulative volume traded ${2}. "
        "Place taker orders to free up 1 request per USDC traded."
    ),
    Refusal.SIGNER_UNKNOWN: Wire("User or API Wallet {0} does not exist."),
    Refusal.DEPOSIT_MISSING: Wire("Must deposit before performing actions. User: {0}"),
    Refusal.NONCE_DUPLICATE: Wire("Invalid nonce: duplicate nonce {0}"),
    Refusal.NONCE_TOO_LOW: Wire("Invalid nonce: nonce too low {0} < {1}"),
    Refusal.NONCE_TOO_HIGH: Wire("Invalid nonce: nonce too high {0} > {1}"),
    Refusal.EXPIRED: Wire("Action already expired"),
    Refusal.VAULT_UNKNOWN: Wire("Vault not registered: {0}"),
    Refusal.AGENT_ADDRESS_TAKEN: Wire("Extra agent already used."),
    Refusal.AGENT_NAME_LENGTH: Wire("Extra agent name must be between 1 and 16 characters long"),
    Refusal.AGENTS_AT_MAX: Wire(
        "Too many extra agents for cumulative volume traded. Current limit is {0}"
    ),
    Refusal.AGENT_VALIDITY_PAST: Wire("Agent valid_until already expired."),
    Refusal.AGENT_VALIDITY_TOO_LONG: Wire("Agent valid_until is more than 180 days ahead."),
    Refusal.TRANSFER_TOO_LARGE: Wire("Insufficient balance for token transfer"),
    Refusal.TRANSFER_ZERO: Wire("Send amount cannot be zero"),
    Refusal.TRANSFER_TO_SELF: Wire("Invalid send"),
    Refusal.BALANCE_AT_MAX: Wire("Account would exceed the maximum balance"),
    Refusal.WITHDRAWAL_TOO_LARGE: Wire("Insufficient balance for withdrawal"),
    Refusal.TOKEN_UNKNOWN: Wire("Unknown token {0}"),
    Refusal.SUB_ACCOUNT_NAME_LENGTH: Wire(
        "Sub-account name must be between 1 and 16 characters long"
    ),
    Refusal.SUB_ACCOUNTS_AT_MAX: Wire("Too many sub-accounts. The limit is {0}."),
    Refusal.SUB_ACCOUNT_TRANSFER_INVALID: Wire("Invalid sub-account transfer from {0} to {1}"),
    Refusal.TOKEN_NOT_IN_PERP: Wire("Invalid perp DEX"),
    Refusal.AMOUNT_TOO_FINE: Wire("Invalid number of decimals"),
    Refusal.RESERVATION_INVALID: Wire("Invalid request weight reservation"),
    Refusal.WITHDRAWAL_TOO_SMALL: Wire("Withdrawals must be larger than their fee of {0} USDC."),
    Refusal.LEVERAGE_TYPE_LOCKED: Wire("Cannot switch leverage type with open position."),
    Refusal.CROSS_NOT_ALLOWED: Wire("Cross margin is not allowed for this asset."),
    Refusal.ISOLATED_NEEDS_MARGIN: Wire(
        "Isolated position does not have sufficient margin available to decrease leverage. "
        "To decrease leverage, add margin to the position."
    ),
    Refusal.MARGIN_NOT_ISOLATED: Wire("Position does not use isolated margin."),
    Refusal.MARGIN_MOVE_ZERO: Wire("Update to isolated margin cannot be zero."),
    Refusal.MARGIN_NO_POSITION: Wire("Cannot update margin for empty position."),
    Refusal.MARGIN_INCREASE_TOO_LARGE: Wire(
        "Account does not have sufficient margin available for increase."
    ),
    Refusal.MARGIN_REDUCTION_TOO_LARGE: Wire(
        "Position does not have sufficient margin for reduction."
    ),
    Refusal.MARGIN_STRICT: Wire(
        "Cannot remove isolated margin for this asset. To remove margin, reduce the position."
    ),
    Refusal.SCHEDULE_TOO_SOON: Wire("Scheduled cancel time must be at least 5 seconds ahead."),
    Refusal.SCHEDULES_AT_MAX: Wire("Scheduled cancels may fire {0} times a day."),
    Refusal.LEVERAGE_INVALID: Wire("Invalid leverage value"),
    Refusal.LEVERAGE_NEEDS_MARGIN: Wire(
        "Cross position does not have sufficient margin available to decrease leverage. "
        "To decrease leverage, deposit more collateral."
    ),
    Refusal.EXCHANGE_NOT_OPEN: Wire("The exchange is not open yet."),
    Refusal.EXCHANGE_ALREADY_OPEN: Wire("The exchange is already open."),
    Refusal.FEES_INVALID: Wire("Fee rates are out of range or pay out more than they collect."),
    Refusal.MARKET_INVALID: Wire("The market's definition is not valid."),
    Refusal.CREDIT_INVALID: Wire("A credit must be positive."),
    Refusal.TOKEN_INVALID: Wire("The token's definition is not valid."),
}


def refusal_text(
    reason: Refusal, detail: Sequence[int | str] = (), asset: int | None = None
) -> str:
    """Return the wire text of a refusal. Prices in ``detail`` must already be decimal texts."""
    wire = WIRE[reason]
    text = wire.text.format(*detail)
    return f"{text} asset={asset}" if wire.names_asset and asset is not None else text
