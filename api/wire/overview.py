"""The overview of an account that front ends subscribe to: ``webData2``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from api.wire.account import ClearinghouseState
from api.wire.decimals import ZERO, usd_text
from api.wire.market import PerpContext
from api.wire.metadata import Meta
from api.wire.orders import FrontendOrder
from model.ids import Address
from model.state import AgentState
from model.views.money import INTERNAL_TRANSFER
from model.views.records import LedgerRecord

_NOTHING: Final = ()


class SpotState(Struct, frozen=True):
    """The spot balances of an account; there are none here."""

    balances: tuple[()] = ()


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
    twap_states: tuple[()]
    spot_state: SpotState
    spot_asset_ctxs: tuple[()]


def web_data(
    user: Address,
    *,
    state: ClearinghouseState,
    open_orders: list[FrontendOrder],
    agents: Sequence[AgentState],
    paid_in: int,
    meta: Meta,
    contexts: tuple[PerpContext, ...],
) -> WebData:
    """Return the overview of an account.

    Args:
        user: the account.
        state: its positions and margin; the overview has the same time.
        open_orders: its orders, in full.
        agents: its agents; only the unnamed one is shown.
        paid_in: micro-USD that came in and did not go out again, see ``paid_in``.
        meta: the universe.
        contexts: contexts of all markets.
    """
    agent = next((agent for agent in agents if not agent.name), None)
    return WebData(
        state,
        _NOTHING,
        ZERO,
        open_orders,
        None if agent is None else agent.agent,
        None if agent is None else agent.valid_until,
        usd_text(paid_in),
        meta,
        contexts,
        state.time,
        False,
        user,
        _NOTHING,
        SpotState(),
        _NOTHING,
    )


def paid_in(entries: Sequence[LedgerRecord]) -> int:
    """Return the sum of an account's ledger: what came in less what it sent, in micro-USD."""
    return sum(
        -entry.usd
        if entry.kind == INTERNAL_TRANSFER and entry.account == entry.sender
        else entry.usd
        for entry in entries
    )
