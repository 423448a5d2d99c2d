"""Questions about orders and TWAPs, asked of a gateway in which a little of everything happened."""

from pathlib import Path

from model.commands import Grouping, MoveOracle, OraclePrice, TriggerSpec
from model.units import E8
from tests.api.info.busy import ALICE, BTC, open_busy, order, place


async def test_a_stop_shows_what_it_waits_for(tmp_path: Path) -> None:
    """It stands among the open orders of both forms, with its condition in words."""
    async with open_busy(tmp_path) as busy:
        (shown,) = await busy.ask("frontendOpenOrders", user=ALICE)
        (plain,) = await busy.ask("openOrders", user=ALICE)
        status = await busy.ask("orderStatus", user=ALICE, oid=shown["oid"])

    assert (shown["triggerCondition"], shown["triggerPx"]) == ("Price below 60000", "60000.0")
    assert (shown["isTrigger"], shown["orderType"], shown["tif"]) == (True, "Stop Market", None)
    assert plain["oid"] == shown["oid"]
    assert (status["order"]["status"], status["order"]["order"]) == ("open", shown)


async def test_children_stand_with_their_parent(tmp_path: Path) -> None:
    """And by themselves, as clients expect that do not look inside."""
    profit, stop = TriggerSpec(70_000 * E8, True, False), TriggerSpec(60_000 * E8, False, True)
    async with open_busy(tmp_path) as busy:
        await busy.do(
            place(
                ALICE,
                order(BTC, is_buy=True, price="64000", size="0.1"),
                order(
                    BTC, is_buy=False, price="69000", size="0.1", reduce_only=True, trigger=profit
                ),
                order(BTC, is_buy=False, price="59000", size="0.1", reduce_only=True, trigger=stop),
                grouping=Grouping.NORMAL_TPSL,
            )
        )
        shown = await busy.ask("frontendOpenOrders", user=ALICE)

    parent = next(one for one in shown if one["children"])
    kinds = ["Take Profit Market", "Stop Limit"]
    assert parent["orderType"] == "Limit"
    assert sorted(child["orderType"] for child in parent["children"]) == sorted(kinds)
    alone = [one["oid"] for one in shown]
    assert {child["oid"] for child in parent["children"]} <= set(alone)
    assert len(alone) == 4


async def test_a_stop_that_fired_tells_its_whole_life(tmp_path: Path) -> None:
    """Open, triggered, and how it ended; the last of these is its status."""
    async with open_busy(tmp_path) as busy:
        (waiting,) = await busy.ask("frontendOpenOrders", user=ALICE)
        await busy.do(MoveOracle((OraclePrice(BTC, 59_500 * E8, 59_500 * E8),)))
        await busy.pass_time(1_000)
        history = await busy.ask("historicalOrders", user=ALICE)
        last = await busy.ask("orderStatus", user=ALICE, oid=waiting["oid"])

    life = [one for one in history if one["order"]["oid"] == waiting["oid"]]
    assert [one["status"] for one in life[::-1]][:2] == ["open", "triggered"]
    assert last["order"]["status"] == life[0]["status"] == "filled"
    assert life[0]["order"]["triggerCondition"] == "Triggered"


async def test_a_twap_is_told_from_its_start_to_its_end(tmp_path: Path) -> None:
    """Its slices are fills without a hash; its history is in seconds."""
    async with open_busy(tmp_path) as busy:
        slices = await busy.ask("userTwapSliceFills", user=ALICE)
        by_time = await busy.ask("userTwapSliceFillsByTime", user=ALICE, startTime=0)
        history = await busy.ask("twapHistory", user=ALICE)
        orders = await busy.ask("historicalOrders", user=ALICE)

    assert len(slices) >= 3
    assert by_time == slices[::-1]
    assert {one["fill"]["hash"] for one in slices} == {"0x" + "0" * 64}
    assert {one["twapId"] for one in slices} == {one["fill"]["twapId"] for one in slices}
    assert history[-1]["status"] == {"status": "activated"}
    assert history[-1]["time"] == history[-1]["state"]["timestamp"] // 1000
    assert history[0]["status"]["status"] == "finished"
    assert float(history[0]["state"]["executedSz"]) > 0
    assert "Twap Slice" in {one["order"]["orderType"] for one in orders}
