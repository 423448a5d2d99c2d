"""Every channel that a gateway serves: its first frame, and what follows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from api.subscriptions import COIN_CHANNELS, MARKET_CHANNELS, USER_CHANNELS
from model.commands import CancelTwap, MoveOracle, OraclePrice, PlaceTwap, Tif
from model.events import TwapStarted
from model.units import E8
from tests.api.info.busy import ALICE, BOB, BTC, HOUR_MS, Busy, head, open_busy, order, place
from tests.api.test_stream import Client

SILENT = {"orderUpdates", "userEvents", "notification"}
"""Channels that have nothing to say at first."""
PUSHED_ON = {"userEvents": "user"}


@asynccontextmanager
async def open_client(path: Path) -> AsyncIterator[tuple[Busy, Client]]:
    async with open_busy(path) as busy, trio.open_nursery() as nursery:
        client = Client(busy.program, nursery)
        yield busy, client
        client.scope.cancel()


async def frame_of(client: Client, channel: str, skip: int = 0) -> Any:
    """Wait for a frame of a channel beyond so many of it; return its data."""
    with trio.fail_after(10):
        while True:
            found = [frame["data"] for frame in client.seen if frame["channel"] == channel]
            if len(found) > skip:
                return found[skip]
            await trio.sleep(0.005)


@pytest.mark.parametrize("channel", sorted(COIN_CHANNELS | USER_CHANNELS | MARKET_CHANNELS))
async def test_every_channel_begins_with_what_there_is(tmp_path: Path, channel: str) -> None:
    """After its confirmation, unless it is one of those that only tell what is new."""
    more: dict[str, Any] = {}
    if channel in COIN_CHANNELS or channel == "activeAssetData":
        more["coin"] = "BTC"
    if channel in USER_CHANNELS:
        more["user"] = ALICE
    if channel == "candle":
        more["interval"] = "1h"
    async with open_client(tmp_path) as (_, client):
        client.subscribe(channel, **more)
        seen = await client.wait(1 if channel in SILENT else 2)

    assert seen[0]["channel"] == "subscriptionResponse"
    assert {frame["channel"] for frame in seen[1:]} <= {channel}


async def test_list_channels_begin_with_a_snapshot_and_add_to_it(tmp_path: Path) -> None:
    """The first frame says that it is one; later ones hold only what is new."""
    keys = {
        "userFills": "fills",
        "userFundings": "fundings",
        "userNonFundingLedgerUpdates": "nonFundingLedgerUpdates",
        "userHistoricalOrders": "orderHistory",
        "userTwapSliceFills": "twapSliceFills",
        "userTwapHistory": "history",
    }
    async with open_client(tmp_path) as (busy, client):
        first = {}
        for channel, key in keys.items():
            client.subscribe(channel, user=ALICE)
            first[channel] = await frame_of(client, channel)
            assert first[channel]["isSnapshot"] is True
            assert len(first[channel][key]) >= 1
        await busy.do(PlaceTwap(*head(ALICE), BTC, True, E8 // 100, False, 5, False))
        await busy.pass_time(31_000)
        await busy.pass_time(HOUR_MS)
        for channel, key in keys.items():
            if channel == "userNonFundingLedgerUpdates":
                continue
            later = await frame_of(client, channel, skip=1)
            assert "isSnapshot" not in later
            assert later["user"] == ALICE
            assert 1 <= len(later[key]) < 10


async def test_user_events_tell_of_each_kind_by_itself(tmp_path: Path) -> None:
    """Fills, funding, slices and TWAPs, each under its own key."""
    async with open_client(tmp_path) as (busy, client):
        client.subscribe("userEvents", user=ALICE)
        await client.wait(1)
        await busy.do(PlaceTwap(*head(ALICE), BTC, True, E8 // 100, False, 5, False))
        await busy.pass_time(31_000)
        await busy.pass_time(HOUR_MS)
        with trio.fail_after(10):
            wanted = {"fills", "funding", "twapSliceFills", "twapHistory"}
            while True:
                told = [frame["data"] for frame in client.seen if frame["channel"] == "user"]
                if wanted <= {key for data in told for key in data}:
                    break
                await trio.sleep(0.01)

    assert {len(data) for data in told} == {1}
    funding = next(data["funding"] for data in told if "funding" in data)
    assert list(funding) == ["time", "coin", "usdc", "szi", "fundingRate", "nSamples"]


async def test_a_liquidation_is_told_in_every_way(tmp_path: Path) -> None:
    """By event, ledger, fills with their method, cancelled orders, and in words."""
    async with open_client(tmp_path) as (busy, client):
        await busy.do(
            place(BOB, order(BTC, is_buy=False, price="66000", size="1")),
            place(BOB, order(BTC, is_buy=True, price="20000", size="1")),
            place(ALICE, order(BTC, is_buy=True, price="15000", size="0.01")),
        )
        for channel in ("userEvents", "notification", "userFills", "userNonFundingLedgerUpdates"):
            client.subscribe(channel, user=ALICE)
        await client.wait(6)
        big = order(BTC, is_buy=True, price="66000", size="1.5", tif=Tif.IOC)
        await busy.do(place(ALICE, big))
        price = 14_000 * E8
        await busy.do(MoveOracle((OraclePrice(BTC, price, price),)))
        await busy.pass_time(60_000)
        words = await frame_of(client, "notification")
        await trio.sleep(0.5)
        told = [frame["data"] for frame in client.seen if frame["channel"] == "user"]
        ledger = await busy.ask("userNonFundingLedgerUpdates", user=ALICE)
        fills = await busy.ask("userFills", user=ALICE)

    assert "liquidated" in words["notification"]
    event = next(data["liquidation"] for data in told if "liquidation" in data)
    assert event["liquidated_user"] == ALICE
    assert isinstance(event["lid"], int)
    entry = next(one["delta"] for one in ledger if one["delta"]["type"] == "liquidation")
    assert entry["leverageType"] == "Cross"
    assert [one["coin"] for one in entry["liquidatedPositions"]] == ["BTC"]
    methods = {fill["liquidation"]["method"] for fill in fills if "liquidation" in fill}
    assert methods <= {"market", "backstop"}
    assert methods
    assert any("nonUserCancel" in data for data in told)


async def test_a_pair_has_a_channel_of_its_own_for_its_context(tmp_path: Path) -> None:
    """It is subscribed to like a perpetual; other channels are the same."""
    async with open_client(tmp_path) as (_, client):
        client.subscribe("activeAssetCtx", coin="SAKE/USDC")
        context = await frame_of(client, "activeSpotAssetCtx")
        client.subscribe("activeAssetData", coin="SAKE/USDC", user=ALICE)
        refused = await frame_of(client, "error")
        client.subscribe("spotState", user=ALICE)
        state = await frame_of(client, "spotState")

    assert (context["coin"], context["ctx"]["markPx"]) == ("SAKE/USDC", "2.5")
    assert refused.startswith("Invalid subscription")
    assert [one["coin"] for one in state["spotState"]["balances"]] == ["USDC", "SAKE"]


async def test_twap_states_show_the_running_ones(tmp_path: Path) -> None:
    """Each with its id; one that was ended is not there."""
    async with open_client(tmp_path) as (busy, client):
        (receipt,) = await busy.do(PlaceTwap(*head(ALICE), BTC, True, E8 // 100, False, 5, False))
        started = receipt.events[0]
        assert isinstance(started, TwapStarted)
        twap_id = started.twap_id
        client.subscribe("twapStates", user=ALICE)
        running = await frame_of(client, "twapStates")
        await busy.do(CancelTwap(*head(ALICE), BTC, twap_id))
        with trio.fail_after(10):
            count = 1
            while (await frame_of(client, "twapStates", skip=count))["states"]:
                count += 1

    assert [shown for shown, _ in running["states"]] == [twap_id]
    assert running["states"][0][1]["coin"] == "BTC"
