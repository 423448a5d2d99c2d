"""Each public method of the Python SDK is called, and its answer has the form of the reference."""

import time
from collections.abc import Callable
from typing import Any, Final

import pytest
from hyperliquid.utils.error import ClientError
from hyperliquid.utils.types import Cloid

from tests.conformance.shapes import ANSWERS, CLEARINGHOUSE, misfits
from tests.conformance.wallets import GTC, IOC, Wallet, wait_until
from tests.program.harness import Program

pytestmark = pytest.mark.program

Open = Callable[..., Wallet]

OK: Final = {"status": "ok", "response": {"type": "default"}}
SOMEBODY: Final = "0x" + "ab" * 20
USDC: Final = "USDC:0x6d1e7cde53ba9467b783cb7c530ce054"


def done(answer: Any) -> Any:
    """Return the response of an answer that must be a success."""
    assert answer["status"] == "ok", answer
    return answer["response"]


def busy(open_wallet: Open, coin: str) -> Wallet:
    """Open a wallet with a position, an open order with a client id, and a past."""
    maker, wallet = open_wallet(), open_wallet()
    maker.rest(coin, -0.5, 2010)
    wallet.place(coin, 0.5, 2010, IOC)
    wallet.rest(coin, 0.5, 1990, cloid=Cloid.from_int(1))
    wallet.exchange.cancel(coin, wallet.rest(coin, 0.5, 1980))
    return wallet


# ---- Info --------------------------------------------------------------------------------------

READS: Final[dict[str, tuple[str, Callable[[Any, str, str], Any]]]] = {
    "all_mids": ("allMids", lambda info, _, __: info.all_mids()),
    "candles_snapshot": (
        "candleSnapshot",
        lambda info, _, coin: info.candles_snapshot(coin, "1m", 0, int(time.time() * 1000)),
    ),
    "delegator_history": ("delegatorHistory", lambda info, user, _: info.delegator_history(user)),
    "extra_agents": ("extraAgents", lambda info, user, _: info.extra_agents(user)),
    "frontend_open_orders": (
        "frontendOpenOrders",
        lambda info, user, _: info.frontend_open_orders(user),
    ),
    "funding_history": ("fundingHistory", lambda info, _, coin: info.funding_history(coin, 0)),
    "historical_orders": ("historicalOrders", lambda info, user, _: info.historical_orders(user)),
    "l2_snapshot": ("l2Book", lambda info, _, coin: info.l2_snapshot(coin)),
    "meta": ("meta", lambda info, _, __: info.meta()),
    "meta_and_asset_ctxs": ("metaAndAssetCtxs", lambda info, _, __: info.meta_and_asset_ctxs()),
    "open_orders": ("openOrders", lambda info, user, _: info.open_orders(user)),
    "perp_dexs": ("perpDexs", lambda info, _, __: info.perp_dexs()),
    "portfolio": ("portfolio", lambda info, user, _: info.portfolio(user)),
    "query_order_by_cloid": (
        "orderStatus",
        lambda info, user, _: info.query_order_by_cloid(user, Cloid.from_int(1)),
    ),
    "query_order_by_oid": ("orderStatus", lambda info, user, _: info.query_order_by_oid(user, 1)),
    "query_referral_state": ("referral", lambda info, user, _: info.query_referral_state(user)),
    "query_sub_accounts": ("subAccounts", lambda info, user, _: info.query_sub_accounts(user)),
    "query_user_abstraction_state": (
        "userAbstraction",
        lambda info, user, _: info.query_user_abstraction_state(user),
    ),
    "query_user_dex_abstraction_state": (
        "userDexAbstraction",
        lambda info, user, _: info.query_user_dex_abstraction_state(user),
    ),
    "query_user_to_multi_sig_signers": (
        "userToMultiSigSigners",
        lambda info, user, _: info.query_user_to_multi_sig_signers(user),
    ),
    "spot_meta": ("spotMeta", lambda info, _, __: info.spot_meta()),
    "spot_meta_and_asset_ctxs": (
        "spotMetaAndAssetCtxs",
        lambda info, _, __: info.spot_meta_and_asset_ctxs(),
    ),
    "spot_user_state": (
        "spotClearinghouseState",
        lambda info, user, _: info.spot_user_state(user),
    ),
    "user_fees": ("userFees", lambda info, user, _: info.user_fees(user)),
    "user_fills": ("userFills", lambda info, user, _: info.user_fills(user)),
    "user_fills_by_time": (
        "userFillsByTime",
        lambda info, user, _: info.user_fills_by_time(user, 0),
    ),
    "user_funding_history": (
        "userFunding",
        lambda info, user, _: info.user_funding_history(user, 0),
    ),
    "user_non_funding_ledger_updates": (
        "userNonFundingLedgerUpdates",
        lambda info, user, _: info.user_non_funding_ledger_updates(user, 0),
    ),
    "user_rate_limit": ("userRateLimit", lambda info, user, _: info.user_rate_limit(user)),
    "user_role": ("userRole", lambda info, user, _: info.user_role(user)),
    "user_staking_delegations": (
        "delegations",
        lambda info, user, _: info.user_staking_delegations(user),
    ),
    "user_staking_rewards": (
        "delegatorRewards",
        lambda info, user, _: info.user_staking_rewards(user),
    ),
    "user_staking_summary": (
        "delegatorSummary",
        lambda info, user, _: info.user_staking_summary(user),
    ),
    "user_state": ("clearinghouseState", lambda info, user, _: info.user_state(user)),
    "user_twap_slice_fills": (
        "userTwapSliceFills",
        lambda info, user, _: info.user_twap_slice_fills(user),
    ),
    "user_vault_equities": (
        "userVaultEquities",
        lambda info, user, _: info.user_vault_equities(user),
    ),
}
EMPTY: Final = frozenset(
    """delegator_history extra_agents funding_history perp_dexs query_sub_accounts
    query_user_dex_abstraction_state query_user_to_multi_sig_signers spot_user_state
    user_funding_history user_staking_delegations user_staking_rewards user_twap_slice_fills
    user_vault_equities spot_meta_and_asset_ctxs""".split()
)
"""Reads of which there is nothing to tell about the account that asks."""


def test_reads(open_wallet: Open, coin: str) -> None:
    """Each read of an account with a past has something to tell, in its form."""
    wallet = busy(open_wallet, coin)

    wrong: dict[str, object] = {}
    for name, (kind, read) in READS.items():
        answer = read(wallet.info, wallet.address, coin)
        if (found := misfits(answer, ANSWERS[kind])) or not (answer or name in EMPTY):
            wrong[name] = found or answer

    assert wrong == {}


@pytest.mark.explained("deployment of markets by users is out of scope")
def test_reads_out_of_scope(open_wallet: Open) -> None:
    """The auctions for deploying markets are refused as questions that nobody knows."""
    info = open_wallet(0).info
    for read in (
        info.query_perp_deploy_auction_status,
        lambda: info.query_spot_deploy_auction_status(SOMEBODY),
    ):
        with pytest.raises(ClientError) as refusal:
            read()
        assert refusal.value.status_code == 422


# ---- Exchange: orders --------------------------------------------------------------------------


def trigger(price: float, kind: str, *, market: bool = True) -> Any:
    return {"trigger": {"triggerPx": price, "isMarket": market, "tpsl": kind}}


def entry(coin: str, size: float, price: float, order_type: Any, *, reduce: bool = False) -> Any:
    """Return an entry of ``bulk_orders``; it sells if the size is negative."""
    return {
        "coin": coin,
        "is_buy": size > 0,
        "sz": abs(size),
        "limit_px": price,
        "order_type": order_type,
        "reduce_only": reduce,
    }


@pytest.mark.shows("Python SDK", "Exchange.order with a trigger")
def test_a_trigger_order(open_wallet: Open, exchange: Program, coin: str) -> None:
    """As in the SDK's example: a stop is placed, shown, cancelled; another one fires."""
    maker, wallet = open_wallet(), open_wallet()
    maker.rest(coin, -0.5, 2000)
    wallet.place(coin, 0.5, 2000, IOC)

    oid = wallet.rest(coin, -0.5, 1800, tif=trigger(1900, "sl"), reduce_only=True)
    (shown,) = wallet.info.frontend_open_orders(wallet.address)
    assert (shown["oid"], shown["triggerPx"], shown["isTrigger"]) == (oid, "1900.0", True)
    assert (shown["orderType"], shown["triggerCondition"]) == ("Stop Market", "Price below 1900")
    assert wallet.info.l2_snapshot(coin)["levels"] == [[], []]
    wallet.exchange.cancel(coin, oid)

    oid = wallet.rest(coin, -0.5, 1800, tif=trigger(1900, "sl"), reduce_only=True)
    maker.rest(coin, 0.5, 1890)
    exchange.move_oracle(coin, 1890)
    wait_until(lambda: wallet.info.user_state(wallet.address)["assetPositions"] == [])
    assert wallet.info.query_order_by_oid(wallet.address, oid)["order"]["status"] == "filled"


@pytest.mark.shows("Python SDK", "Exchange.bulk_orders with grouping normalTpsl")
def test_a_group(open_wallet: Open, coin: str) -> None:
    """As in the SDK's example: an order with its take profit and stop loss."""
    wallet = open_wallet()

    answer = wallet.exchange.bulk_orders(
        [
            entry(coin, 0.5, 1990, GTC),
            entry(coin, -0.5, 2200, trigger(2200, "tp"), reduce=True),
            entry(coin, -0.5, 1800, trigger(1900, "sl"), reduce=True),
        ],
        grouping="normalTpsl",
    )

    first, *children = done(answer)["data"]["statuses"]
    assert "resting" in first
    assert children == ["waitingForFill", "waitingForFill"]
    orders = wallet.info.frontend_open_orders(wallet.address)
    (parent,) = (order for order in orders if order["oid"] == first["resting"]["oid"])
    assert {child["orderType"] for child in parent["children"]} == {
        "Take Profit Market",
        "Stop Market",
    }
    assert misfits(orders, ANSWERS["frontendOpenOrders"]) == []


@pytest.mark.shows("Python SDK", "Exchange.bulk_orders with grouping positionTpsl")
def test_a_group_of_a_position(open_wallet: Open, coin: str) -> None:
    """Take profit and stop loss of a position follow its size."""
    maker, wallet = open_wallet(), open_wallet()
    maker.rest(coin, -0.5, 2000)
    wallet.place(coin, 0.5, 2000, IOC)

    answer = wallet.exchange.bulk_orders(
        [
            entry(coin, -0.5, 2200, trigger(2200, "tp"), reduce=True),
            entry(coin, -0.5, 1800, trigger(1900, "sl"), reduce=True),
        ],
        grouping="positionTpsl",
    )

    assert done(answer)["data"]["statuses"] == ["waitingForTrigger", "waitingForTrigger"]
    orders = wallet.info.frontend_open_orders(wallet.address)
    assert [order["isPositionTpsl"] for order in orders] == [True, True]


def test_schedule_cancel(open_wallet: Open, coin: str) -> None:
    """As in the SDK's example: armed and disarmed, and not for a time that is too near."""
    wallet = open_wallet()
    oid = wallet.rest(coin, 0.5, 1990)

    def now() -> int:
        return int(time.time() * 1000)

    assert wallet.exchange.schedule_cancel(now() + 60_000) == OK
    assert wallet.exchange.schedule_cancel(None) == OK
    assert wallet.exchange.schedule_cancel(now() + 1_000)["status"] == "err"
    assert wallet.open_oids() == [oid]


def test_bulk_modify(open_wallet: Open, coin: str) -> None:
    """Several orders are modified at once, by either of their ids."""
    wallet = open_wallet()
    first = wallet.rest(coin, 0.5, 1990)
    wallet.rest(coin, 0.5, 1980, cloid=Cloid.from_int(5))

    answer = wallet.exchange.bulk_modify_orders_new(
        [
            {"oid": first, "order": entry(coin, 0.4, 1970, GTC)},
            {"oid": Cloid.from_int(5), "order": entry(coin, 0.4, 1960, GTC)},
        ]
    )

    oids = [status["resting"]["oid"] for status in done(answer)["data"]["statuses"]]
    assert sorted(wallet.open_oids()) == sorted(oids)


def test_bulk_cancel_by_cloid(open_wallet: Open, coin: str) -> None:
    """Several orders are cancelled at once by the ids of their owner."""
    wallet = open_wallet()
    cloids = [Cloid.from_int(number) for number in (1, 2)]
    for cloid in cloids:
        wallet.rest(coin, 0.5, 1990, cloid=cloid)

    answer = wallet.exchange.bulk_cancel_by_cloid(
        [{"coin": coin, "cloid": cloid} for cloid in cloids]
    )

    assert done(answer)["data"]["statuses"] == ["success", "success"]
    assert wallet.open_oids() == []


# ---- Exchange: margin and money ----------------------------------------------------------------


@pytest.mark.shows("Python SDK", "Exchange.update_leverage to isolated")
def test_isolated_margin(open_wallet: Open, coin: str) -> None:
    """As in the SDK's example: leverage, isolated leverage, and margin added to a position."""
    maker, wallet = open_wallet(), open_wallet()
    assert wallet.exchange.update_leverage(21, coin) == OK
    assert wallet.exchange.update_leverage(21, coin, is_cross=False) == OK
    maker.rest(coin, -0.5, 2000)
    wallet.place(coin, 0.5, 2000, IOC)

    def position() -> Any:
        return wallet.info.user_state(wallet.address)["assetPositions"][0]["position"]

    before = position()
    assert before["leverage"].keys() == {"type", "value", "rawUsd"}
    assert wallet.exchange.update_isolated_margin(10, coin) == OK

    grown = float(position()["marginUsed"]) - float(before["marginUsed"])
    assert grown == pytest.approx(10)
    state = wallet.info.user_state(wallet.address)
    assert misfits(state, CLEARINGHOUSE) == []


def test_class_transfer(open_wallet: Open) -> None:
    """Collateral moves to the spot side and back, and the ledger says so."""
    wallet = open_wallet(1_000)

    assert wallet.exchange.usd_class_transfer(100, False) == OK
    (balance,) = wallet.info.spot_user_state(wallet.address)["balances"]
    assert (balance["coin"], balance["total"]) == ("USDC", "100.0")
    assert wallet.exchange.usd_class_transfer(40, True) == OK

    assert wallet.info.user_state(wallet.address)["withdrawable"] == "940.0"
    ledger = wallet.info.user_non_funding_ledger_updates(wallet.address, 0)
    assert [entry["delta"] for entry in ledger][1:] == [
        {"type": "accountClassTransfer", "usdc": "100.0", "toPerp": False},
        {"type": "accountClassTransfer", "usdc": "40.0", "toPerp": True},
    ]


def test_spot_transfer(open_wallet: Open) -> None:
    """A spot balance is sent to somebody else."""
    sender, receiver = open_wallet(1_000), open_wallet(1)
    sender.exchange.usd_class_transfer(100, False)

    assert sender.exchange.spot_transfer(30, receiver.address, USDC) == OK

    (balance,) = receiver.info.spot_user_state(receiver.address)["balances"]
    assert balance["total"] == "30.0"
    (*_, last) = receiver.info.user_non_funding_ledger_updates(receiver.address, 0)
    assert last["delta"]["type"] == "spotTransfer"


def test_send_asset(open_wallet: Open) -> None:
    """Collateral is sent from one side of an account to a side of another."""
    sender, receiver = open_wallet(1_000), open_wallet(1)

    assert sender.exchange.send_asset(receiver.address, "", "spot", USDC, 30) == OK

    (balance,) = receiver.info.spot_user_state(receiver.address)["balances"]
    assert balance["total"] == "30.0"
    assert sender.info.user_state(sender.address)["withdrawable"] == "970.0"


def test_withdraw(open_wallet: Open) -> None:
    """A withdrawal leaves the account, and what it was is in the ledger."""
    wallet = open_wallet(1_000)

    assert wallet.exchange.withdraw_from_bridge(100, SOMEBODY) == OK

    (*_, last) = wallet.info.user_non_funding_ledger_updates(wallet.address, 0)
    assert last["delta"]["type"] == "withdraw"
    left = float(wallet.info.user_state(wallet.address)["withdrawable"])
    assert left + float(last["delta"]["usdc"]) + float(last["delta"]["fee"]) == 1_000


def test_sub_accounts(open_wallet: Open, coin: str) -> None:
    """A sub-account is made, funded from both sides, traded for, and read."""
    wallet = open_wallet(1_000)

    made = done(wallet.exchange.create_sub_account("desk"))
    assert made["type"] == "createSubAccount"
    sub = made["data"]
    assert wallet.exchange.sub_account_transfer(sub, True, 100_000_000) == OK
    wallet.exchange.usd_class_transfer(50, False)
    assert wallet.exchange.sub_account_spot_transfer(sub, True, USDC, 20) == OK

    accounts = wallet.info.query_sub_accounts(wallet.address)
    assert misfits(accounts, ANSWERS["subAccounts"]) == []
    (account,) = accounts
    assert (account["name"], account["subAccountUser"]) == ("desk", sub)
    assert account["clearinghouseState"]["withdrawable"] == "100.0"
    assert account["spotState"]["balances"][0]["total"] == "20.0"
    assert wallet.info.user_role(sub) == {
        "role": "subAccount",
        "data": {"master": wallet.address.lower()},
    }

    trader = open_wallet(0, account=wallet.account, vault_address=sub)
    oid = trader.rest(coin, 0.01, 1990)
    assert [order["oid"] for order in wallet.info.open_orders(sub)] == [oid]


@pytest.mark.parametrize(
    ("kind", "send"),
    [
        (
            "userSetAbstraction",
            lambda user: user.exchange.user_set_abstraction(user.address, "disabled"),
        ),
        (
            "userDexAbstraction",
            lambda user: user.exchange.user_dex_abstraction(user.address, False),
        ),
        ("agentSetAbstraction", lambda user: user.exchange.agent_set_abstraction("i")),
        ("agentEnableDexAbstraction", lambda user: user.exchange.agent_enable_dex_abstraction()),
    ],
)
@pytest.mark.explained("every account is of the default mode")
def test_account_modes(
    open_wallet: Open, recorder: Any, kind: str, send: Callable[[Wallet], Any]
) -> None:
    """There is one mode of accounts: whoever wants another is told so."""
    answer = send(open_wallet())

    if answer != OK:
        recorder.note_refusal()
        assert answer == {
            "status": "err",
            "response": f"Action {kind} is not offered on this exchange.",
        }


# ---- Exchange: what is out of scope ------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "send"),
    [
        ("vaultTransfer", lambda to: to.vault_usd_transfer(SOMEBODY, True, 1)),
        ("tokenDelegate", lambda to: to.token_delegate(SOMEBODY, 1, False)),
        ("convertToMultiSigUser", lambda to: to.convert_to_multi_sig_user([SOMEBODY], 1)),
        ("multiSig", lambda to: to.multi_sig(SOMEBODY, {"type": "noop"}, [], 1)),
        ("evmUserModify", lambda to: to.use_big_blocks(True)),
        ("gossipPriorityBid", lambda to: to.gossip_priority_bid(0, "1.2.3.4", 1)),
        (
            "perpDeploy",
            lambda to: to.perp_deploy_register_asset("x", 1, "X:C", 2, "1", 10, False, None),
        ),
        ("perpDeploy", lambda to: to.perp_deploy_set_oracle("x", {}, [], {})),
        ("spotDeploy", lambda to: to.spot_deploy_register_token("T", 2, 8, 1, "Token")),
        ("spotDeploy", lambda to: to.spot_deploy_user_genesis(1, [], [])),
        ("spotDeploy", lambda to: to.spot_deploy_enable_freeze_privilege(1)),
        ("spotDeploy", lambda to: to.spot_deploy_freeze_user(1, SOMEBODY, True)),
        ("spotDeploy", lambda to: to.spot_deploy_revoke_freeze_privilege(1)),
        ("spotDeploy", lambda to: to.spot_deploy_enable_quote_token(1)),
        ("spotDeploy", lambda to: to.spot_deploy_token_action_inner("freeze", 1)),
        ("spotDeploy", lambda to: to.spot_deploy_genesis(1, "100", True)),
        ("spotDeploy", lambda to: to.spot_deploy_register_spot(1, 0)),
        ("spotDeploy", lambda to: to.spot_deploy_register_hyperliquidity(1, 1.0, 1.0, 1, None)),
        ("spotDeploy", lambda to: to.spot_deploy_set_deployer_trading_fee_share(1, "1%")),
        ("CSignerAction", lambda to: to.c_signer_unjail_self()),
        ("CSignerAction", lambda to: to.c_signer_jail_self()),
        ("CSignerAction", lambda to: to.c_signer_inner("jailSelf")),
        (
            "CValidatorAction",
            lambda to: to.c_validator_register("1.2.3.4", "n", "d", False, 1, SOMEBODY, True, 1),
        ),
        (
            "CValidatorAction",
            lambda to: to.c_validator_change_profile(None, None, None, True, None, None, None),
        ),
        ("CValidatorAction", lambda to: to.c_validator_unregister()),
    ],
)
@pytest.mark.explained("out of scope; refused by its name")
def test_out_of_scope(
    open_wallet: Open, recorder: Any, kind: str, send: Callable[[Any], Any]
) -> None:
    """Vaults, staking, validators, deployment: the action's name is in the refusal."""
    answer = send(open_wallet().exchange)

    recorder.note_refusal()
    assert answer == {
        "status": "err",
        "response": f"Action {kind} is not offered on this exchange.",
    }
