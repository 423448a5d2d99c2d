"""What must hold of money, spot balances and sub-accounts between any two commands.

A part of ``model.invariants``, in the same slow and obvious way.
"""

from __future__ import annotations

from collections import Counter

from model.accounts import Account
from model.balances import E8_PER_MICRO_USD, SUPPLY_E8_MAX
from model.errors import require
from model.exchange import Exchange
from model.ids import SPOT_ASSETS_FROM, USDC, TokenId
from model.matching import MatchingEngine
from model.spot import find_pair, held


def check_money(exchange: Exchange) -> None:
    """Check that no money and no token was made or lost, and that all of it is where it belongs.

    Raises:
        BrokenInvariantError: naming the first thing that does not hold.
    """
    engine = exchange.engine
    _check_usd(engine)
    _check_tokens(engine)
    for account in engine.accounts.values():
        _check_holds(engine, account)
        _check_sub_accounts(engine, account)
    _check_requests(exchange)


def _check_usd(engine: MatchingEngine) -> None:
    """All cash, and what was collected, paid out and moved to spot, is what was paid in."""
    cash = sum(account.cash for account in engine.accounts.values())
    isolated = sum(
        position.isolated_usd
        for account in engine.accounts.values()
        for position in account.positions.values()
    )
    perp = cash + isolated + engine.fees + engine.insurance
    total = (perp + engine.withdrawn_usd) * E8_PER_MICRO_USD + engine.supply[USDC]
    require(
        total == engine.credited_usd * E8_PER_MICRO_USD,
        f"cash {cash}, in isolated positions {isolated}, fees {engine.fees}, insurance "
        f"{engine.insurance}, withdrawn {engine.withdrawn_usd} and in spot {engine.supply[USDC]} "
        f"e-8 are not the {engine.credited_usd} paid in",
    )


def _check_tokens(engine: MatchingEngine) -> None:
    """Of every token, all balances and collected fees come to its supply."""
    totals: Counter[TokenId] = Counter()
    for account in engine.accounts.values():
        for token, balance in account.balances.items():
            require(balance.token == token, f"{account.address}: a balance under a wrong token")
            totals[token] += balance.total
    require(
        len(engine.tokens) == len(engine.supply) == len(engine.token_fees),
        "tokens are not counted one by one",
    )
    for listed, supply, fees in zip(engine.tokens, engine.supply, engine.token_fees, strict=True):
        total = totals[listed.token]
        require(fees >= 0 and 0 <= supply <= SUPPLY_E8_MAX, f"{listed.name}: impossible amounts")
        require(
            total + fees == supply,
            f"{listed.name}: balances {total} and fees {fees} are not the supply {supply}",
        )


def _check_holds(engine: MatchingEngine, account: Account) -> None:
    """What is held is what resting orders may have to give, and nobody owes a token."""
    holds: Counter[TokenId] = Counter()
    for order in account.orders.values():
        if order.asset >= SPOT_ASSETS_FROM:
            market = find_pair(engine, order.asset)
            require(market is not None, f"order {order.oid} rests in no pair")
            assert market is not None
            token, amount = held(market, order)
            holds[token] += amount
    where = account.address
    for token, balance in account.balances.items():
        require(balance.hold == holds.pop(token, 0), f"{where}: holds a wrong amount of {token}")
        require(0 <= balance.hold <= balance.total, f"{where}: holds more of {token} than it has")
        require(
            balance.entry >= 0 and (balance.total > 0 or not balance.entry),
            f"{where}: the cost of token {token} contradicts its balance",
        )
    require(not holds, f"{where}: orders hold tokens of which there is no balance")


def _check_sub_accounts(engine: MatchingEngine, account: Account) -> None:
    where = account.address
    for address in account.sub_accounts:
        sub_account = engine.accounts.get(address)
        require(
            sub_account is not None and sub_account.master == where,
            f"{where}: {address} does not know its master",
        )
    if account.master is not None:
        master = engine.accounts.get(account.master)
        require(
            master is not None and where in master.sub_accounts and not account.sub_accounts,
            f"{where}: is not the sub-account of its master",
        )
        assert master is not None
        require(account.fees is master.fees, f"{where}: has fees of its own")


def _check_requests(exchange: Exchange) -> None:
    """Nothing is counted where nothing is limited."""
    if not exchange.terms.requests_free:
        counted = any(account.requests for account in exchange.engine.accounts.values())
        require(not counted, "requests are counted although there is no limit")
