"""Questions about fills, funding and the ledger, where a little of everything has happened."""

from pathlib import Path

from tests.api.info.busy import ALICE, BOB, HOUR_MS, open_busy


async def test_a_fill_of_a_pair_names_the_token_of_its_fee(tmp_path: Path) -> None:
    """Each side pays in what it receives."""
    async with open_busy(tmp_path) as busy:
        hers = await busy.ask("userFills", user=ALICE)
        his = await busy.ask("userFillsByTime", user=BOB, startTime=0)

    (bought,) = (fill for fill in hers if fill["coin"] == "SAKE/USDC")
    (sold,) = (fill for fill in his if fill["coin"] == "SAKE/USDC")
    assert (bought["dir"], bought["feeToken"], bought["fee"]) == ("Buy", "SAKE", "0.028")
    assert (sold["dir"], sold["feeToken"], sold["fee"]) == ("Sell", "USDC", "0.04")
    assert bought["tid"] == sold["tid"]


async def test_funding_is_told_to_both_sides_and_to_everyone(tmp_path: Path) -> None:
    """Once an hour; what one side paid the other got, but for the rounding."""
    async with open_busy(tmp_path) as busy:
        hers = await busy.ask("userFunding", user=ALICE)
        his = await busy.ask("userFunding", user=BOB)
        rates = await busy.ask("fundingHistory", coin="BTC", startTime=0)
        contexts = await busy.ask("metaAndAssetCtxs")
        (predicted, *_) = await busy.ask("predictedFundings")

    mine = [one for one in hers if one["delta"]["coin"] == "BTC"]
    theirs = [one for one in his if one["delta"]["coin"] == "BTC"]
    assert len(mine) == len(theirs) == len(rates) >= 1
    assert float(mine[0]["delta"]["usdc"]) < 0 < float(theirs[0]["delta"]["usdc"])
    assert mine[0]["delta"]["fundingRate"] == rates[0]["fundingRate"]
    assert rates[0]["time"] % HOUR_MS < 2 * HOUR_MS
    assert contexts[1][0]["funding"] != "0.0"
    assert predicted[0] == "BTC"
    assert predicted[1][0][1]["nextFundingTime"] % HOUR_MS == 0


async def test_the_ledger_tells_every_move(tmp_path: Path) -> None:
    """Oldest first, each with the words of its kind; a span narrows it down."""
    async with open_busy(tmp_path) as busy:
        entries = await busy.ask("userNonFundingLedgerUpdates", user=ALICE)
        later = await busy.ask(
            "userNonFundingLedgerUpdates", user=ALICE, startTime=entries[-1]["time"] + 1
        )
        tokens = await busy.ask("userNonFundingLedgerUpdates", user=BOB)

    kinds = [entry["delta"]["type"] for entry in entries]
    assert kinds == ["deposit", "accountClassTransfer", "internalTransfer", "subAccountTransfer"]
    assert entries[1]["delta"] == {"type": kinds[1], "usdc": "1000.0", "toPerp": False}
    assert later == []
    assert {"type": "spotGenesis", "token": "SAKE", "amount": "10000.0"} in [
        entry["delta"] for entry in tokens
    ]
