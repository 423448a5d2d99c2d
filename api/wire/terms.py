"""On what terms an account trades: its fees, its request budget, its agents and its role."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from api.wire.decimals import ZERO, rate_text, usd_text
from model.ids import Address
from model.state import AgentState
from model.units import USD

REQUESTS_TO_START: Final = 10_000
"""Requests that an account has before it traded anything; each USD traded adds one."""

SPOT_TAKER_RATE: Final = "0.0007"
SPOT_MAKER_RATE: Final = "0.0004"
"""Rates of the spot exchange that is not here; clients read the keys."""


class DayVolumeShape(Struct, frozen=True, rename="camel"):
    """Volume of a UTC day: of the account as taker and as maker, and of the whole exchange."""

    date: str
    user_cross: str
    user_add: str
    exchange: str


class FeeTiers(Struct, frozen=True):
    """Steps of the fee schedule; there are none here."""

    vip: tuple[()] = ()
    mm: tuple[()] = ()


class StakingDiscount(Struct, frozen=True, rename="camel"):
    """Discount for staking; there is none here."""

    bps_of_max_supply: str = ZERO
    discount: str = ZERO


class FeeSchedule(Struct, frozen=True, rename="camel"):
    """The rates of all accounts."""

    cross: str
    add: str
    spot_cross: str = SPOT_TAKER_RATE
    spot_add: str = SPOT_MAKER_RATE
    tiers: FeeTiers = FeeTiers()
    referral_discount: str = ZERO
    staking_discount_tiers: tuple[StakingDiscount, ...] = (StakingDiscount(),)


class UserFees(Struct, frozen=True, rename="camel"):
    """What an account pays. *cross* is the taker's rate, *add* the maker's."""

    daily_user_vlm: tuple[DayVolumeShape, ...]
    fee_schedule: FeeSchedule
    user_cross_rate: str
    user_add_rate: str
    user_spot_cross_rate: str = SPOT_TAKER_RATE
    user_spot_add_rate: str = SPOT_MAKER_RATE
    active_referral_discount: str = ZERO
    trial: None = None
    fee_trial_escrow: str = ZERO
    next_trial_available_timestamp: None = None
    staking_link: None = None
    active_staking_discount: StakingDiscount = StakingDiscount()


class UserRateLimit(Struct, frozen=True, rename="camel"):
    """How many requests an account used and may use."""

    cum_vlm: str
    n_requests_used: int
    n_requests_cap: int
    n_requests_surplus: int = 0


class ExtraAgent(Struct, frozen=True, rename="camel"):
    """A named agent."""

    address: Address
    name: str
    valid_until: int


class RoleData(Struct, frozen=True):
    """For whom an agent acts."""

    user: Address


class UserRole(Struct, frozen=True):
    """What an address is: ``user``, ``agent`` or ``missing``."""

    role: str
    data: RoleData | UnsetType = UNSET


def day_volume(date: str, *, taker: int, maker: int, exchange: int) -> DayVolumeShape:
    """Return one day of an account's volume; the date is ``YYYY-MM-DD``, amounts are micro-USD."""
    return DayVolumeShape(date, usd_text(taker), usd_text(maker), usd_text(exchange))


def user_fees(
    days: Sequence[DayVolumeShape], *, taker_fee_ppm: int, maker_fee_ppm: int
) -> UserFees:
    """Return what an account pays, from rates in parts per million; days are oldest first."""
    taker, maker = rate_text(taker_fee_ppm), rate_text(maker_fee_ppm)
    return UserFees(tuple(days), FeeSchedule(taker, maker), taker, maker)


def requests_allowed(volume: int) -> int:
    """Return how many requests an account may make that traded so many micro-USD."""
    return REQUESTS_TO_START + volume // USD


def user_rate_limit(*, volume: int, requests_used: int) -> UserRateLimit:
    """Return an account's request budget."""
    return UserRateLimit(usd_text(volume), requests_used, requests_allowed(volume))


def extra_agents(agents: Iterable[AgentState]) -> list[ExtraAgent]:
    """Return the named agents; the unnamed one is not an extra."""
    return [
        ExtraAgent(agent.agent, agent.name, agent.valid_until) for agent in agents if agent.name
    ]


def user_role(*, known: bool, master: Address | None = None) -> UserRole:
    """Return what an address is; ``master`` is the account that it is an agent of."""
    if known:
        return UserRole("user")
    return UserRole("missing") if master is None else UserRole("agent", RoleData(master))
