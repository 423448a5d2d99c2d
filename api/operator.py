"""What an operator may do to a running gateway: fund an account, move the oracle, look at it.

Each function here is one request of the admin API (see ``api.admin``). What changes the exchange
goes through the log as a command.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from actors.router import BlockPart
from actors.source import Receipt
from api.admin import AdminError, Handler
from api.market_admin import MarketOperator
from api.settings import read_usd
from api.tree_admin import TreeOperator
from model.balances import SUPPLY_E8_MAX
from model.commands import MoveOracle, OraclePrice
from model.events import CommandRefused, Event, OracleMoved
from model.ids import Address, AssetId
from model.refusals import refusal_text
from model.units import MalformedDecimalError, format_decimal, parse_decimal

if TYPE_CHECKING:
    from api.program import Program

TEST_HOOKS: Final = "ZARABA_TEST_HOOKS"
"""Environment variable that allows an operator to crash an actor on purpose."""


def oracle_moved(events: Sequence[Event], asset: AssetId) -> OracleMoved:
    """Return what happened to a market whose oracle price was moved; other marks may move as well.

    Raises:
        StopIteration: it was not moved.
    """
    return next(e for e in events if isinstance(e, OracleMoved) and e.asset == asset)


def operator_handlers(program: Program) -> dict[str, Handler]:
    """Return the requests that the admin API of a program serves."""

    async def fund(request: Mapping[str, Any]) -> Any:
        account = _address(request)
        if request.get("token") is not None:
            return await _fund_token(program, account, request)
        usd = read_usd(str(request.get("usd", "")))
        _refuse_refused(await program.gateway.fund(account, usd))
        return {"account": account, "usd": format_decimal(usd, 6)}

    async def oracle(request: Mapping[str, Any]) -> Any:
        instrument = program.gateway.instrument(str(request.get("coin", "")))
        if instrument is None:
            names = ", ".join(sorted(program.gateway.directory.universe.by_name))
            raise AdminError(f"no such market: {request.get('coin')} (there are {names})")
        if instrument.is_spot:
            raise AdminError(
                f"{instrument.name} has no oracle: its price is that of its last trade"
            )
        move = MoveOracle((OraclePrice(instrument.asset, _price(request)),))
        receipt = _refuse_refused(await program.gateway.carry_out(move))
        moved = oracle_moved(receipt.events, instrument.asset)
        return {
            "coin": instrument.name,
            "oracle": format_decimal(moved.oracle, instrument.price_decimals),
            "mark": format_decimal(moved.mark, instrument.price_decimals),
        }

    async def status(_: Mapping[str, Any]) -> Any:  # noqa: ASYNC124
        gateway, settings = program.gateway, program.settings
        return {
            "urls": program.urls,
            "height": gateway.directory.height,
            "accounts": len(gateway.directory.accounts),
            "connections": len(gateway.connections),
            "faucet": {
                "usd": format_decimal(settings.faucet_usd, 6),
                "credits_max": settings.faucet_credits_max,
                "credits": gateway.telemetry.faucet_credits,
            },
            "not_ready": gateway.why_not_ready(),
        }

    handlers: dict[str, Handler] = {"fund": fund, "oracle": oracle, "status": status}
    handlers |= TreeOperator(program).handlers()
    handlers |= MarketOperator(program).handlers()
    if os.environ.get(TEST_HOOKS):
        handlers["crash"] = _crash_handler(program)
    return handlers


async def _fund_token(program: Program, account: Address, request: Mapping[str, Any]) -> Any:
    """Credit a spot balance; USDC that is named here goes to spot as well."""
    tokens = {token.name: token for token in program.gateway.directory.universe.tokens}
    token = tokens.get(str(request["token"]))
    if token is None:
        names = ", ".join(sorted(tokens))
        raise AdminError(f"no such token: {request['token']} (there are {names})")
    amount = _amount(request.get("amount"))
    _refuse_refused(await program.gateway.fund_token(account, token.token, amount))
    return {"account": account, "token": token.name, "amount": format_decimal(amount, 8)}


def _crash_handler(program: Program) -> Handler:
    """Let a test crash a view: tell it of a part of a block that follows one it never got."""

    async def crash(request: Mapping[str, Any]) -> Any:  # noqa: ASYNC124
        path = str(request.get("actor", ""))
        if not path.startswith(("markets/", "accounts/")):
            raise AdminError("only markets and accounts can be crashed")
        lost = BlockPart(height=2**62, time_ms=0, previous=2**62 - 1, events=[])
        program.registry.address(path).tell(lost)
        return {"actor": path}

    return crash


def _address(request: Mapping[str, Any]) -> Address:
    text = str(request.get("account", "")).lower()
    digits = text.removeprefix("0x")
    if not text.startswith("0x") or len(digits) != 40 or set(digits) - set("0123456789abcdef"):
        raise AdminError(
            f"not an address: {request.get('account')} (expected 0x and 40 hex digits)"
        )
    return Address(text)


def _amount(text: object) -> int:
    """Read an amount of tokens in units of 1e-8."""
    try:
        amount = parse_decimal(str(text))
    except MalformedDecimalError:
        amount = 0
    if not 0 < amount <= SUPPLY_E8_MAX:
        raise AdminError(f"not an amount: {text}")
    return amount


def _price(request: Mapping[str, Any]) -> int:
    try:
        price = parse_decimal(str(request.get("price", "")))
    except MalformedDecimalError:
        price = 0
    if price <= 0:
        raise AdminError(f"not a price: {request.get('price')}")
    return price


def _refuse_refused(receipt: Receipt) -> Receipt:
    for event in receipt.events:
        if isinstance(event, CommandRefused):
            raise AdminError(refusal_text(event.reason, event.detail))
    return receipt
