"""Questions about markets, spot ones included."""

from pathlib import Path

from tests.api.info.busy import open_busy


async def test_pairs_and_tokens_stand_at_their_index(tmp_path: Path) -> None:
    """Tokens are named by number in the pairs; each pair has a context."""
    async with open_busy(tmp_path) as busy:
        meta, contexts = await busy.ask("spotMetaAndAssetCtxs")
        mids = await busy.ask("allMids")
        book = await busy.ask("l2Book", coin="SAKE/USDC")

    (pair,) = meta["universe"]
    assert (pair["name"], pair["tokens"], pair["index"]) == ("SAKE/USDC", [1, 0], 0)
    assert [token["index"] for token in meta["tokens"]] == [0, 1]
    assert len({token["tokenId"] for token in meta["tokens"]}) == 2
    (context,) = contexts
    assert (context["coin"], context["markPx"], context["dayBaseVlm"]) == (
        "SAKE/USDC",
        "2.5",
        "40.0",
    )
    assert (context["dayNtlVlm"], context["totalSupply"]) == ("100.0", "10000.0")
    assert mids["SAKE/USDC"] == "2.5"
    assert [level["sz"] for level in book["levels"][1]] == ["60.0"]


async def test_candles_of_a_pair_are_kept(tmp_path: Path) -> None:
    """Like those of every market."""
    async with open_busy(tmp_path) as busy:
        asked = {"coin": "SAKE/USDC", "interval": "1h", "startTime": 0}
        candles = await busy.ask("candleSnapshot", req=asked)

    assert [(candle["c"], candle["v"], candle["n"]) for candle in candles] == [("2.5", "40.0", 1)]


async def test_contexts_show_funding_and_impact(tmp_path: Path) -> None:
    """Of a book that is thick enough; a market without orders has neither mid nor impact."""
    async with open_busy(tmp_path) as busy:
        meta, contexts = await busy.ask("metaAndAssetCtxs")

    shown = dict(zip((market["name"] for market in meta["universe"]), contexts, strict=True))
    assert shown["BTC"]["impactPxs"] == ["64990.0", "65010.0"]
    assert shown["BTC"]["midPx"] == "65000.0"
    assert shown["BTC"]["openInterest"] != "0.0"
    assert (shown["SOL"]["impactPxs"], shown["SOL"]["premium"], shown["SOL"]["midPx"]) == (
        None,
    ) * 3


async def test_margin_tables_are_found_by_number(tmp_path: Path) -> None:
    """Numbers from 50 on are tables of several tiers, lower ones a single leverage."""
    async with open_busy(tmp_path) as busy:
        meta = await busy.ask("meta")
        for number, table in meta["marginTables"]:
            assert await busy.ask("marginTable", id=number) == table
        nothing = await busy.ask("marginTable", id=49)
        largest = await busy.ask("maxMarketOrderNtls")
        capped = await busy.ask("perpsAtOpenInterestCap")

    tables = dict(map(tuple, meta["marginTables"]))
    for market in meta["universe"]:
        assert (
            tables[market["marginTableId"]]["marginTiers"][0]["maxLeverage"]
            == market["maxLeverage"]
        )
    assert nothing is None
    assert [25, "15000000.0"] in largest or [40, "15000000.0"] in largest
    assert capped == []


async def test_a_token_is_found_by_its_id(tmp_path: Path) -> None:
    """With its supply and the prices of its pair; USDC has neither."""
    async with open_busy(tmp_path) as busy:
        meta = await busy.ask("spotMeta")
        usdc, sake = meta["tokens"]
        details = await busy.ask("tokenDetails", tokenId=sake["tokenId"])
        plain = await busy.ask("tokenDetails", tokenId=usdc["tokenId"])
        nothing = await busy.ask("tokenDetails", tokenId="0x12")
        deposits = await busy.ask("perpDexStatus", dex="")

    assert (details["name"], details["totalSupply"], details["markPx"]) == (
        "SAKE",
        "10000.0",
        "2.5",
    )
    assert plain["markPx"] is None
    assert nothing is None
    assert deposits == {"totalNetDeposit": "200000.0"}
