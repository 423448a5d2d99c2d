"""ccxt reads an account, sets its leverage and margin, and moves its money."""

import time
from collections.abc import Callable
from typing import Any

import ccxt
import eth_account
import pytest

from tests.program.harness import Program

pytestmark = pytest.mark.program

Open = Callable[..., Any]


def open_long(maker: Any, user: Any, symbol: str, amount: float = 0.5) -> None:
    """Give a user a long position at 2000."""
    maker.rest(symbol, -amount, 2000)
    user.exchange.create_order(symbol, "market", "buy", amount, 2000)


def perp_usd(user: Any, **params: Any) -> float:
    """Return what a user has on the perpetuals' side."""
    return float(user.api.fetch_balance({"type": "swap", **params})["total"]["USDC"])


def spot_usd(user: Any, **params: Any) -> float:
    """Return the collateral that a user has on the spot side."""
    return float(user.api.fetch_balance({"type": "spot", **params})["total"].get("USDC", 0))


# ---- reading -----------------------------------------------------------------------------------


def test_balance(open_ccxt: Open, symbol: str) -> None:
    """The balance is the account's value, and what its positions hold of it is not free."""
    maker, user = open_ccxt(), open_ccxt(1_000)
    open_long(maker, user, symbol, 0.5)
    fee = 0.5 * 2000 * 0.00045

    balance = user.api.fetch_balance()

    assert balance["USDC"]["total"] == pytest.approx(1_000 - fee)
    assert balance["USDC"]["used"] == pytest.approx(0.5 * 2000 / 20)
    assert balance["info"]["withdrawable"]


@pytest.mark.shows("ccxt", "fetchBalance of type spot")
def test_spot_balance(open_ccxt: Open) -> None:
    """Nobody has anything on the spot side at first."""
    assert spot_usd(open_ccxt()) == 0


def test_positions(open_ccxt: Open, symbol: str) -> None:
    """A position has its size, side, entry, value and leverage."""
    maker, user = open_ccxt(), open_ccxt()
    open_long(maker, user, symbol, 0.5)

    one = user.api.fetch_position(symbol)
    (listed,) = user.api.fetch_positions()
    (short,) = maker.api.fetch_positions([symbol])

    assert one["symbol"] == listed["symbol"] == symbol
    assert (one["side"], one["contracts"], one["entryPrice"]) == ("long", 0.5, 2000.0)
    assert (one["notional"], one["leverage"], one["marginMode"]) == (1000.0, 20, "cross")
    assert (short["side"], short["contracts"]) == ("short", 0.5)


def test_fees(open_ccxt: Open, symbol: str) -> None:
    """The fee of a market is the account's."""
    fee = open_ccxt().api.fetch_trading_fee(symbol)

    assert (fee["taker"], fee["maker"]) == (0.00045, 0.00015)


def test_ledger(open_ccxt: Open, exchange: Program) -> None:
    """Deposits are in the ledger, with and without a start; there was no withdrawal."""
    user = open_ccxt(100)
    exchange.fund(user.address, 25)
    since = int(time.time() * 1000) - 60_000

    assert sorted(entry["amount"] for entry in user.api.fetch_ledger()) == [25.0, 100.0]
    assert sorted(entry["amount"] for entry in user.api.fetch_ledger(None, since)) == [25.0, 100.0]
    assert sorted(entry["amount"] for entry in user.api.fetch_deposits()) == [25.0, 100.0]
    assert user.api.fetch_withdrawals() == []


def test_funding_history(open_ccxt: Open, symbol: str) -> None:
    """Before the first full hour nobody has paid or been paid."""
    assert open_ccxt().api.fetch_funding_history(symbol) == []


def test_liquidations(open_ccxt: Open, symbol: str) -> None:
    """Nobody was liquidated here."""
    assert open_ccxt().api.fetch_my_liquidations(symbol) == []


@pytest.mark.shows("ccxt", "an agent's privateKey with its master's walletAddress")
def test_an_agent(open_ccxt: Open, open_wallet: Open, symbol: str) -> None:
    """A bot signs as an agent: its orders are the master's, and the master is what it reads."""
    master = open_wallet()
    _answer, key = master.exchange.approve_agent("bot")
    agent = open_ccxt(account=eth_account.Account.from_key(key))
    agent.exchange.walletAddress = master.address

    placed = agent.api.create_order(symbol, "limit", "buy", 0.5, 1990)

    (order,) = agent.api.fetch_open_orders(symbol)
    assert order["id"] == placed["id"] == str(master.open_oids()[0])
    assert agent.api.fetch_balance()["USDC"]["total"] == 10_000
    with pytest.raises(ccxt.ExchangeError, match="Must deposit"):
        agent.exchange.transfer("USDC", 5, "swap", "spot")


# ---- leverage and margin -----------------------------------------------------------------------


def test_leverage(open_ccxt: Open, symbol: str) -> None:
    """The leverage of a market decides the margin of a position, within the market's bounds."""
    maker, user = open_ccxt(), open_ccxt()

    assert user.api.set_leverage(5, symbol)["status"] == "ok"
    with pytest.raises(ccxt.ExchangeError, match="Invalid leverage value"):
        user.exchange.set_leverage(26, symbol)

    open_long(maker, user, symbol, 0.5)
    position = user.api.fetch_position(symbol)
    assert (position["leverage"], position["initialMargin"]) == (5, 200.0)


def test_margin_mode(open_ccxt: Open, symbol: str) -> None:
    """A market can be set to isolated margin and back while there is no position."""
    maker, user = open_ccxt(), open_ccxt()
    assert user.api.set_margin_mode("isolated", symbol, {"leverage": 5})["status"] == "ok"
    assert user.api.set_margin_mode("cross", symbol, {"leverage": 5})["status"] == "ok"
    user.api.set_margin_mode("isolated", symbol, {"leverage": 5})

    open_long(maker, user, symbol, 0.5)

    position = user.api.fetch_position(symbol)
    assert (position["marginMode"], position["leverage"]) == ("isolated", 5)
    with pytest.raises(ccxt.ExchangeError, match="Cannot switch leverage type"):
        user.exchange.set_margin_mode("cross", symbol, {"leverage": 5})


def test_margin_of_a_position(open_ccxt: Open, symbol: str) -> None:
    """Margin goes to an isolated position and comes back, as far as it can be spared."""
    maker, user = open_ccxt(), open_ccxt()
    user.exchange.set_leverage(5, symbol, {"marginMode": "isolated"})
    open_long(maker, user, symbol, 0.5)

    def margin() -> float:
        return float(user.exchange.fetch_position(symbol)["info"]["position"]["marginUsed"])

    before = margin()
    assert user.api.add_margin(symbol, 50)["code"] == "ok"
    assert margin() == pytest.approx(before + 50)
    assert user.api.reduce_margin(symbol, 20)["code"] == "ok"
    assert margin() == pytest.approx(before + 30)
    with pytest.raises(ccxt.ExchangeError, match="sufficient margin for reduction"):
        user.exchange.reduce_margin(symbol, 200)


# ---- money -------------------------------------------------------------------------------------


@pytest.mark.shows("ccxt", "transfer between spot and swap")
def test_transfer_between_spot_and_swap(open_ccxt: Open) -> None:
    """Collateral moves to the spot side and back; what is not there does not."""
    user = open_ccxt(1_000)

    assert user.api.transfer("USDC", 100, "swap", "spot")["status"] == "ok"
    assert (perp_usd(user), spot_usd(user)) == (900.0, 100.0)
    user.api.transfer("USDC", 40, "spot", "swap")
    assert (perp_usd(user), spot_usd(user)) == (940.0, 60.0)

    with pytest.raises(ccxt.InsufficientFunds):
        user.exchange.transfer("USDC", 60.01, "spot", "swap")


def test_withdraw(open_ccxt: Open) -> None:
    """A withdrawal leaves the account at once and is in the ledger with its fee."""
    user = open_ccxt(1_000)
    target = eth_account.Account.create().address

    user.api.withdraw("USDC", 100, target)

    (entry,) = user.api.fetch_withdrawals()
    left = perp_usd(user)
    assert entry["amount"] + entry["fee"]["cost"] == pytest.approx(1_000 - left)
    with pytest.raises(ccxt.InsufficientFunds):
        user.exchange.withdraw("USDC", 10_000, target)


@pytest.mark.shows("ccxt", "transfer between main and sub-account")
def test_sub_account(open_ccxt: Open, symbol: str) -> None:
    """A sub-account is made, funded, traded by its master's key, and read by its address."""
    user = open_ccxt(1_000)

    sub = user.api.create_sub_account("desk")["response"]["data"]
    user.api.transfer("USDC", 100, "main", sub)
    placed = user.exchange.create_order(symbol, "limit", "buy", 0.05, 1990, {"vaultAddress": sub})

    assert (perp_usd(user), perp_usd(user, subAccountAddress=sub)) == (900.0, 100.0)
    (order,) = user.exchange.fetch_open_orders(symbol, None, None, {"subAccountAddress": sub})
    assert order["id"] == placed["id"]
    assert user.open_ids() == []
    user.api.transfer("USDC", 30, sub, "main")
    assert perp_usd(user) == 930.0


@pytest.mark.shows("ccxt", "transfer of spot balances to a sub-account")
def test_spot_transfer_to_a_sub_account(open_ccxt: Open) -> None:
    """Spot balances move between an account and its sub-account."""
    user = open_ccxt(1_000)
    sub = user.api.create_sub_account("spot desk")["response"]["data"]
    user.exchange.transfer("USDC", 100, "swap", "spot")

    user.api.transfer("USDC", 60, "main", sub, {"type": "spot"})

    assert (spot_usd(user), spot_usd(user, subAccountAddress=sub)) == (40.0, 60.0)


@pytest.mark.shows("ccxt", "transfer between spot and swap of a sub-account")
def test_class_transfer_of_a_sub_account(open_ccxt: Open) -> None:
    """The master moves a sub-account's money between its sides; ccxt leaves 0x out."""
    user = open_ccxt(1_000)
    sub = user.api.create_sub_account("mixed")["response"]["data"]
    user.api.transfer("USDC", 100, "main", sub)

    user.api.transfer("USDC", 60, "swap", "spot", {"vaultAddress": sub})

    assert perp_usd(user, subAccountAddress=sub) == 40.0
    assert spot_usd(user, subAccountAddress=sub) == 60.0


def test_reserve_request_weight(open_ccxt: Open) -> None:
    """More requests can be bought, at 0.0005 USD each."""
    user = open_ccxt(1_000)

    assert user.api.reserve_request_weight(100)["status"] == "ok"

    assert perp_usd(user) == pytest.approx(1_000 - 100 * 0.0005)
