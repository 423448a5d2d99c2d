"""Questions about accounts, asked of a gateway in which a little of everything has happened."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.api.info.busy import ALICE, BOB, Busy, open_busy


async def positions(busy: Busy, user: str) -> dict[str, Any]:
    state = await busy.ask("clearinghouseState", user=user)
    return {one["position"]["coin"]: one["position"] for one in state["assetPositions"]}


async def test_cross_and_isolated_positions_stand_apart(tmp_path: Path) -> None:
    """An isolated position shows its own cash, and the cross summary leaves it out."""
    async with open_busy(tmp_path) as busy:
        held = await positions(busy, ALICE)
        state = await busy.ask("clearinghouseState", user=ALICE)

    assert held["BTC"]["leverage"] == {"type": "cross", "value": 20}
    assert held["ETH"]["leverage"]["type"] == "isolated"
    assert Decimal(held["ETH"]["leverage"]["rawUsd"]) > 5_000  # a short's proceeds and its margin
    assert Decimal(held["ETH"]["szi"]) == -2
    both, cross = (
        Decimal(state[summary]["accountValue"])
        for summary in ("marginSummary", "crossMarginSummary")
    )
    assert both - cross == Decimal(held["ETH"]["marginUsed"])
    assert held["BTC"]["cumFunding"]["sinceOpen"] != "0.0"


async def test_tokens_show_what_orders_hold(tmp_path: Path) -> None:
    """What was bought is there less the fee, at its cost; what is offered is held."""
    async with open_busy(tmp_path) as busy:
        hers = await busy.ask("spotClearinghouseState", user=ALICE)
        his = await busy.ask("spotClearinghouseState", user=BOB)

    usdc, sake = hers["balances"]
    assert (usdc["coin"], usdc["total"], usdc["hold"]) == ("USDC", "900.0", "0.0")
    assert (sake["coin"], sake["total"], sake["entryNtl"]) == ("SAKE", "39.972", "100.0")
    held = {balance["coin"]: balance["hold"] for balance in his["balances"]}
    assert held == {"USDC": "0.0", "SAKE": "60.0"}


async def test_sub_accounts_are_shown_with_what_they_hold(tmp_path: Path) -> None:
    """In both forms, and by their role."""
    async with open_busy(tmp_path) as busy:
        (plain,) = await busy.ask("subAccounts", user=ALICE)
        (by_dex,) = await busy.ask("subAccounts2", user=ALICE)
        role = await busy.ask("userRole", user=plain["subAccountUser"])
        check = await busy.ask("preTransferCheck", user=plain["subAccountUser"], source=ALICE)
        none = await busy.ask("subAccounts", user=BOB)

    assert (plain["name"], plain["master"]) == ("savings", ALICE)
    assert plain["clearinghouseState"]["withdrawable"] == "50.0"
    assert by_dex["dexToClearinghouseState"] == [["", plain["clearinghouseState"]]]
    assert role == {"role": "subAccount", "data": {"master": ALICE}}
    assert check["userExists"] is True
    assert none is None


async def test_terms_are_those_of_the_exchange(tmp_path: Path) -> None:
    """Rates, tiers, volumes by day, and requests."""
    async with open_busy(tmp_path) as busy:
        fees = await busy.ask("userFees", user=ALICE)
        limit = await busy.ask("userRateLimit", user=ALICE)
        referral = await busy.ask("referral", user=ALICE)

    assert (fees["userCrossRate"], fees["userSpotCrossRate"]) == ("0.00045", "0.0007")
    assert fees["feeSchedule"]["tiers"]["vip"][0]["ntlCutoff"] == "5000000.0"
    assert fees["feeSchedule"]["tiers"]["mm"][0] == {
        "makerFractionCutoff": "0.005",
        "add": "-0.00001",
    }
    today = fees["dailyUserVlm"][-1]
    assert Decimal(today["userCross"]) == Decimal(limit["cumVlm"]) == Decimal(referral["cumVlm"])
    assert limit["nRequestsCap"] == 10_000 + int(Decimal(limit["cumVlm"]))
    assert referral["referrerState"] == {"stage": "needToCreateCode", "data": None}


async def test_an_account_is_asked_what_it_could_trade(tmp_path: Path) -> None:
    """Isolated leverage names the position's cash; a spot pair has no such thing."""
    async with open_busy(tmp_path) as busy:
        eth = await busy.ask("activeAssetData", user=ALICE, coin="ETH")
        spot = await busy.ask("activeAssetData", user=ALICE, coin="SAKE/USDC")

    assert eth["leverage"]["type"] == "isolated"
    assert eth["leverage"]["value"] == 5
    assert Decimal(eth["maxTradeSzs"][0]) > 2
    assert spot is None


async def test_worth_over_time_ends_with_now(tmp_path: Path) -> None:
    """Everything is worth more than perpetuals alone by what lies in tokens; profit begins at 0."""
    async with open_busy(tmp_path) as busy:
        periods = dict(await busy.ask("portfolio", user=ALICE))
        state = await busy.ask("clearinghouseState", user=ALICE)
        again = dict(await busy.ask("portfolio", user=ALICE))

    for name in ("day", "week", "month", "allTime"):
        everything, perps = periods[name], periods[f"perp{name[0].upper()}{name[1:]}"]
        worth, perp_worth = (each["accountValueHistory"][-1][1] for each in (everything, perps))
        assert perp_worth == state["marginSummary"]["accountValue"]
        assert Decimal(worth) - Decimal(perp_worth) == Decimal("999.93")
        assert everything["pnlHistory"][0][1] == "0.0"
        times = [time_ms for time_ms, _ in everything["accountValueHistory"]]
        assert times == sorted(set(times))
        assert everything["vlm"] == perps["vlm"] != "0.0"
    assert len(periods["day"]["accountValueHistory"]) >= 4
    assert again["allTime"]["pnlHistory"][:-1] == periods["allTime"]["pnlHistory"][:-1]
