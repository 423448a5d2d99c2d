from pathlib import Path

from msgspec.structs import replace

from api.market_metrics import market_rows
from api.program import Program, open_program
from api.settings import Settings
from model.ids import Address, AssetId

SERIES_MAX = 5_000
"""With 1,000 markets of three series each."""


async def series(program: Program) -> int:
    made = await program.gateway.telemetry.expose()
    return sum(not line.startswith(b"#") for line in made.body.splitlines())


async def test_each_market_has_a_row(tmp_path: Path) -> None:
    """Height and age are those of the block that was shown last."""
    async with open_program(Settings(data=tmp_path), serve=False) as program:
        for instrument in program.gateway.directory.universe:
            await program.gateway.read_market(instrument.asset, lambda _: None)
        now_ms = program.gateway.directory.time_ms + 1_500
        markets = [(one.name, one.asset) for one in program.gateway.directory.universe]
        rows = list(market_rows(markets, program.gateway.market_channels, now_ms))

    assert [row.market for row in rows] == [name for name, _asset in markets]
    assert {row.seq for row in rows} == {1}
    assert {row.age_seconds for row in rows} == {1.5}


async def test_series_stay_bounded(tmp_path: Path) -> None:
    """A thousand markets add three series each, a hundred thousand accounts none."""
    async with open_program(Settings(data=tmp_path), serve=False) as program:
        universe = program.gateway.directory.universe
        like = next(iter(universe))
        perps = sum(not instrument.is_spot for instrument in universe)
        for number in range(perps, 1_100):
            universe.list(replace(like, asset=AssetId(number), name=f"M{number}"))
        with_markets = await series(program)
        program.gateway.directory.accounts.update(
            Address(f"0x{number:040x}") for number in range(100_000)
        )
        for number in range(2_000):
            program.gateway.accounts.address(Address(f"0x{number:040x}"))
        with_accounts = await series(program)

    assert 3_000 < with_markets < SERIES_MAX
    assert with_accounts <= with_markets + 6  # those of the pool, now that it has members
