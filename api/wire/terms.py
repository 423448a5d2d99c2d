"""On what terms an account trades: its fees, its request budget, its agents and its role."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from api.wire.decimals import ZERO, rate_text, usd_text
from model.commands import OpenExchange
from model.ids import Address
from model.state import AgentState, FeeState, RequestState
from model.units import USD

REQUESTS_TO_START: Final = 10_000
"""Requests that an account has before it traded anything; each USD traded adds one."""

REFERRER_VOLUME: Final = 10_000 * USD
"""What an account must have traded before it could refer others."""


class DayVolumeShape(Struct, frozen=True, rename="camel"):
    """Volume of a UTC day: of the account as taker and as maker, and of the whole exchange."""

    date: str
    user_cross: str
    user_add: str
    exchange: str


class VolumeTier(Struct, frozen=True, rename="camel"):
    """Rates from a fourteen-day volume on."""

    ntl_cutoff: str
    cross: str
    add: str
    spot_cross: str
    spot_add: str


class MakerShareTier(Struct, frozen=True, rename="camel"):
    """Maker's rate from a share in all makers' volume on."""

    maker_fraction_cutoff: str
    add: str


class FeeTiers(Struct, frozen=True):
    """Steps of the fee schedule beyond the base rates."""

    vip: tuple[VolumeTier, ...]
    mm: tuple[MakerShareTier, ...]


class StakingDiscount(Struct, frozen=True, rename="camel"):
    """Discount for staking; there is none here."""

    bps_of_max_supply: str = ZERO
    discount: str = ZERO


class FeeSchedule(Struct, frozen=True, rename="camel"):
    """The rates of all accounts."""

    cross: str
    add: str
    spot_cross: str
    spot_add: str
    tiers: FeeTiers
    referral_discount: str = ZERO
    staking_discount_tiers: tuple[StakingDiscount, ...] = (StakingDiscount(),)


class UserFees(Struct, frozen=True, rename="camel"):
    """What an account pays. *cross* is the taker's rate, *add* the maker's."""

    daily_user_vlm: tuple[DayVolumeShape, ...]
    fee_schedule: FeeSchedule
    user_cross_rate: str
    user_add_rate: str
    user_spot_cross_rate: str
    user_spot_add_rate: str
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


class AgentData(Struct, frozen=True):
    """For whom an agent acts."""

    user: Address


class SubAccountData(Struct, frozen=True):
    """Who commands a sub-account."""

    master: Address


class UserRole(Struct, frozen=True):
    """What an address is: ``user``, ``agent``, ``subAccount`` or ``missing``."""

    role: str
    data: AgentData | SubAccountData | UnsetType = UNSET


class TransferCheck(Struct, frozen=True, rename="camel"):
    """What a sender should know of a destination."""

    user_exists: bool
    user_has_sent_tx: bool
    fee: str = ZERO
    is_sanctioned: bool = False


class Volume(Struct, frozen=True):
    """How much must be traded yet."""

    required: str


class ReferrerState(Struct, frozen=True):
    """How far an account is on its way to refer others."""

    stage: str
    data: Volume | None


class Referral(Struct, frozen=True, rename="camel"):
    """Referrals of an account: there are none, only its volume."""

    referred_by: None
    cum_vlm: str
    unclaimed_rewards: str
    claimed_rewards: str
    builder_rewards: str
    referrer_state: ReferrerState
    reward_history: tuple[()] = ()
    token_to_state: tuple[()] = ()


def day_volume(date: str, *, taker: int, maker: int, exchange: int) -> DayVolumeShape:
    """Return one day of an account's volume; the date is ``YYYY-MM-DD``, amounts are micro-USD."""
    return DayVolumeShape(date, usd_text(taker), usd_text(maker), usd_text(exchange))


def user_fees(
    days: Sequence[DayVolumeShape], terms: OpenExchange, fees: FeeState | None
) -> UserFees:
    """Return what an account pays; days are oldest first. Without ``fees`` it is the base rates."""
    if fees is None:
        fees = FeeState(
            terms.taker_fee_ppm,
            terms.maker_fee_ppm,
            terms.spot_taker_fee_ppm,
            terms.spot_maker_fee_ppm,
            0,
            0,
        )
    return UserFees(
        tuple(days),
        fee_schedule(terms),
        rate_text(fees.taker_ppm),
        rate_text(fees.maker_ppm),
        rate_text(fees.spot_taker_ppm),
        rate_text(fees.spot_maker_ppm),
    )


def fee_schedule(terms: OpenExchange) -> FeeSchedule:
    """Return the rates of all accounts."""
    return FeeSchedule(
        rate_text(terms.taker_fee_ppm),
        rate_text(terms.maker_fee_ppm),
        rate_text(terms.spot_taker_fee_ppm),
        rate_text(terms.spot_maker_fee_ppm),
        FeeTiers(
            tuple(
                VolumeTier(
                    usd_text(tier.volume),
                    rate_text(tier.taker_ppm),
                    rate_text(tier.maker_ppm),
                    rate_text(tier.spot_taker_ppm),
                    rate_text(tier.spot_maker_ppm),
                )
                for tier in terms.fee_tiers
            ),
            tuple(
                MakerShareTier(rate_text(tier.share_ppm), rate_text(tier.maker_ppm))
                for tier in terms.maker_tiers
            ),
        ),
    )


def requests_allowed(volume: int) -> int:
    """Return how many requests an account may make that traded so many micro-USD."""
    return REQUESTS_TO_START + volume // USD


def user_rate_limit(*, volume: int, requests: RequestState | None) -> UserRateLimit:
    """Return an account's request budget. Where there is no limit, the usual one is shown."""
    if requests is None:
        return UserRateLimit(usd_text(volume), 0, requests_allowed(volume))
    allowed = requests.allowed or requests_allowed(volume)
    return UserRateLimit(usd_text(volume), requests.used, allowed, requests.reserved)


def extra_agents(agents: Iterable[AgentState]) -> list[ExtraAgent]:
    """Return the named agents; the unnamed one is not an extra."""
    return [
        ExtraAgent(agent.agent, agent.name, agent.valid_until) for agent in agents if agent.name
    ]


def user_role(
    *, known: bool, agent_of: Address | None = None, master: Address | None = None
) -> UserRole:
    """Return what an address is, by whom it acts for and who commands it."""
    if master is not None:
        return UserRole("subAccount", SubAccountData(master))
    if known:
        return UserRole("user")
    return UserRole("missing") if agent_of is None else UserRole("agent", AgentData(agent_of))


def transfer_check(*, known: bool) -> TransferCheck:
    """Return what a sender should know of a destination: whether it is there."""
    return TransferCheck(known, known)


def referral(volume: int) -> Referral:
    """Return the referrals of an account that traded so many micro-USD."""
    missing = REFERRER_VOLUME - volume
    state = ReferrerState("needToCreateCode", None)
    if missing > 0:
        state = ReferrerState("needToTrade", Volume(usd_text(missing)))
    return Referral(None, usd_text(volume), ZERO, ZERO, ZERO, state)
