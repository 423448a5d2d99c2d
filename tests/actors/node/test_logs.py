"""The running exchange writes a node's files, which are followed to the same books."""

from pathlib import Path

import trio

from actors.node.offline import load_snapshot, read_to_the_end, streams_of
from actors.node.tail import list_files
from api.program import open_program
from api.settings import Settings
from model.commands import (
    Credit,
    CreditSource,
    OrderSpec,
    PlaceOrders,
    Tif,
)
from model.ids import Address, AssetId
from model.node.coins import Coins
from model.node.ingest import Ingest
from model.node.lines import Form, Stream, folder_of
from model.units import USD

USER = Address("0x" + "1" * 40)


def is_written(root: Path, height: int) -> bool:
    """Tell whether the diffs of a block stand in the files."""
    folder = root / folder_of(Stream.DIFFS, Form.BLOCK)
    return any(
        b'"block_number":%d,' % height in path.read_bytes() for _, path in list_files(folder)
    )


async def test_files_of_the_running_exchange(tmp_path: Path) -> None:
    """Orders of a running exchange stand in the files, and those from before in the snapshot."""
    settings = Settings(data=tmp_path / "data", node_logs=tmp_path / "logs")
    prices: list[int] = []
    name = ""
    for nonce in (1, 2):
        async with open_program(settings, serve=False) as program:
            submit = program.gateway.source.submit
            await submit(Credit(USER, 1_000_000 * USD, CreditSource.FUND))
            instrument = program.gateway.directory.universe[AssetId(0)]
            price = instrument.opening_price_e8 // 10**8 // 2 + nonce
            prices.append(price * 10**8)
            spec = OrderSpec(
                asset=AssetId(0),
                is_buy=True,
                price_e8=price * 10**8,
                size_e8=10**8,
                tif=Tif.GTC,
                reduce_only=False,
                cloid=None,
            )
            now = program.ground.clock_ms()
            receipt = await submit(PlaceOrders(USER, now, None, None, (spec,)))
            with trio.fail_after(10):
                while not is_written(tmp_path / "logs", receipt.height):  # noqa: ASYNC110 - a file
                    await trio.sleep(0.01)
            name = instrument.name
    snapshot = load_snapshot(tmp_path / "logs" / "snapshot.json")
    coins = Coins()
    coins.start(snapshot, snapshot.height or 0)
    ingest = Ingest(Form.BLOCK, streams_of(tmp_path / "logs", Form.BLOCK), coins)
    for _ in read_to_the_end(tmp_path / "logs", Form.BLOCK, ingest):
        pass

    assert [order.price for order in snapshot.coins[name].bids] == prices[:1]
    assert sorted(order.price for order in coins.by_name[name].book) == prices
    assert coins.in_doubt() == []
