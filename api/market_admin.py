"""What an operator may do with the markets of a running gateway: list them, and add some.

Each function here is one request of the admin API (see ``api.admin``). Markets are added through
the log like everything else, so they are there after a restart and in every view.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from api.admin import AdminError, Handler
from api.config import ConfigError, ListedTables, parse_listed
from api.market_rows import market_row
from model.commands import AdminCommand, ListMarket
from model.events import CommandRefused
from model.instruments import Instrument
from model.refusals import refusal_text
from model.units import format_decimal
from model.universe import Universe
from model.views.market import MarketView
from supervision import SupervisionError

if TYPE_CHECKING:
    from api.program import Program


@frozen
class MarketOperator:
    """The requests about markets."""

    program: Program

    def handlers(self) -> dict[str, Handler]:
        """Return the requests by their names."""
        return {"markets": self.list_markets, "add_markets": self.add_markets}

    async def list_markets(self, _request: Mapping[str, Any]) -> Any:
        """Return a row for each market, with its prices now; empty texts where it is away."""
        rows = []
        for instrument in self.program.gateway.directory.universe:
            row = market_row(instrument)
            try:
                row |= await self._prices(instrument)
            except SupervisionError:
                row["mark"] = row["oracle"] = row["open_interest"] = ""
            rows.append(row)
        return {"markets": rows}

    async def add_markets(self, request: Mapping[str, Any]) -> Any:
        """Open the markets of a file, all or none, and start their actors."""
        gateway = self.program.gateway
        try:
            listed = parse_listed(str(request.get("text", "")), str(request.get("file", "file")))
        except ConfigError as error:
            raise AdminError(str(error)) from error
        await gateway.catch_up()
        universe = gateway.directory.universe
        commands = list(self._listings(listed, universe))
        for command in commands:
            receipt = await gateway.carry_out(command)
            for event in receipt.events:
                if isinstance(event, CommandRefused):
                    raise AdminError(refusal_text(event.reason, event.detail))
        await gateway.catch_up()
        opened = [command.instrument for command in commands if isinstance(command, ListMarket)]
        for instrument in opened:
            await gateway.read_market(instrument.asset, lambda view: view.mark)
        return {"added": [market_row(instrument) for instrument in opened]}

    def _listings(self, listed: ListedTables, universe: Universe) -> list[AdminCommand]:
        """Return the commands; refuse names that are taken before any of them is sent."""
        taken = {name.lower() for name in universe.by_name}
        taken |= {token.name.lower() for token in universe.tokens}
        names = [market.name for market in listed.markets] + [pair.token for pair in listed.pairs]
        clashes = [name for name in names if name.lower() in taken]
        if clashes:
            raise AdminError(f"already listed: {', '.join(clashes)}")
        return list(listed.listings(len(universe.perps), len(universe.pairs), len(universe.tokens)))

    async def _prices(self, instrument: Instrument) -> dict[str, str]:
        def read(view: MarketView) -> dict[str, str]:
            decimals = instrument.price_decimals
            return {
                "mark": format_decimal(view.mark, decimals),
                "oracle": format_decimal(view.oracle, decimals),
                "open_interest": format_decimal(
                    view.open_interest * view.mark, instrument.notional_decimals
                ),
            }

        return await self.program.gateway.read_market(instrument.asset, read)
