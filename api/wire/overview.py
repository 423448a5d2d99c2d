"""The overviews of an account that front ends subscribe to: ``webData2`` and ``webData3``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import frozen
from msgspec import Struct

from api.wire.account import ClearinghouseState, SpotState
from api.wire.decimals import ZERO, usd_text
from api.wire.market import PerpContext, SpotContext
from api.wire.metadata import Meta
from api.wire.orders import FrontendOrder
from api.wire.twaps import TwapStateShape
from model.ids import Address
from model.state import AgentState

_NOTHING: Final = ()


class WebData(Struct, frozen=True, rename="camel"):
    """Data of a ``webData2`` frame."""

    clearinghouse_state: ClearinghouseState
    leading_vaults: tuple[()]
    total_vault_equity: str
    open_orders: list[FrontendOrder]
    agent_address: Address | None
    agent_valid_until: int | None
    cum_ledger: str
    meta: Meta
    asset_ctxs: tuple[PerpContext, ...]
    server_time: int
    is_vault: bool
    user: Address
    twap_states: list[tuple[int, TwapStateShape]]
    spot_state: SpotState
    spot_asset_ctxs: tuple[SpotContext, ...]


class UserState(Struct, frozen=True, rename="camel"):
    """Who the account is, and who else may sign for it."""

    agent_address: Address | None
    agent_valid_until: int | None
    cum_ledger: str
    server_time: int
    is_vault: bool
    user: Address


class DexState(Struct, frozen=True, rename="camel"):
    """What an account has in vaults of a dex: nothing."""

    total_vault_equity: str = ZERO


class WebData3(Struct, frozen=True, rename="camel"):
    """Data of a ``webData3`` frame: there is one dex."""

    user_state: UserState
    perp_dex_states: tuple[DexState, ...]


@frozen
class Owner:
    """Whose overview it is: the account, its agents, and what it was paid in, in micro-USD."""

    user: Address
    agents: Sequence[AgentState]
    paid_in: int

    @property
    def agent(self) -> AgentState | None:
        """The unnamed agent, which is the only one shown."""
        return next((agent for agent in self.agents if not agent.name), None)


@frozen
class Markets:
    """The universe and the contexts of all markets."""

    meta: Meta
    perps: tuple[PerpContext, ...]
    pairs: tuple[SpotContext, ...]


def web_data(
    owner: Owner,
    markets: Markets,
    *,
    state: ClearinghouseState,
    open_orders: list[FrontendOrder],
    twaps: list[tuple[int, TwapStateShape]],
    spot: SpotState,
) -> WebData:
    """Return the overview of an account; its time is that of ``state``."""
    agent = owner.agent
    return WebData(
        state,
        _NOTHING,
        ZERO,
        open_orders,
        None if agent is None else agent.agent,
        None if agent is None else agent.valid_until,
        usd_text(owner.paid_in),
        markets.meta,
        markets.perps,
        state.time,
        False,
        owner.user,
        twaps,
        spot,
        markets.pairs,
    )


def web_data_3(owner: Owner, *, time_ms: int) -> WebData3:
    """Return the shorter overview that newer front ends ask for."""
    agent = owner.agent
    return WebData3(
        UserState(
            None if agent is None else agent.agent,
            None if agent is None else agent.valid_until,
            usd_text(owner.paid_in),
            time_ms,
            False,
            owner.user,
        ),
        (DexState(),),
    )
