"""Strategies for commands: small numbers, few accounts, so that things meet.

Not all of them make sense: some name markets, orders or accounts that are not there, or ask for
more than there is. A machine that was asked to do nonsense must say no and stay whole.
"""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

from model.agents import ZERO_ADDRESS
from model.commands import (
    ApproveAgent,
    CancelOrders,
    CancelSpec,
    Command,
    Credit,
    CreditSource,
    Grouping,
    ListMarket,
    ModifyOrders,
    ModifySpec,
    MoveOracle,
    Noop,
    OpenExchange,
    OraclePrice,
    OrderSpec,
    PlaceOrders,
    Tif,
    TriggerSpec,
    UpdateLeverage,
    UsdSend,
)
from model.ids import Address, AssetId, Cloid, OrderId
from model.instruments import Instrument
from model.nonces import WINDOW_FUTURE_MS
from model.units import E8, USD

START_MS: Final = 1_700_000_000_000
ACCOUNTS: Final = tuple(Address("0x" + letter * 40) for letter in "abcd")
KEYS: Final = tuple(Address("0x" + digit * 40) for digit in "123")
CLOIDS: Final = tuple(Cloid(f"0x{number:032x}") for number in range(3))
U64_MAX: Final = 2**64 - 1

OPENING: Final[tuple[Command, ...]] = (
    OpenExchange(450, 150),
    ListMarket(Instrument(AssetId(0), "BTC", 2, 40, 100 * E8)),
    ListMarket(Instrument(AssetId(1), "ETH", 0, 5, 10 * E8)),
    *(Credit(account, 5_000 * USD, CreditSource.FAUCET) for account in ACCOUNTS[:3]),
)
"""Two markets, three accounts with money; the fourth is a stranger for now."""

assets = st.sampled_from([AssetId(0)] * 6 + [AssetId(1)] * 3 + [AssetId(2)])
signers = st.sampled_from([*ACCOUNTS * 3, *KEYS])
nonces = st.integers(START_MS, START_MS + 10**6) | st.sampled_from(
    [0, START_MS, START_MS + WINDOW_FUTURE_MS, U64_MAX]
)
targets = st.integers(1, 40).map(OrderId) | st.sampled_from(CLOIDS)
prices_e8 = st.one_of(
    st.integers(92, 108).map(lambda usd: usd * E8),
    st.integers(92, 108).map(lambda dimes: dimes * E8 // 10),
    st.sampled_from([0, 1, 20 * E8, 180 * E8, U64_MAX]),
)
sizes_e8 = st.one_of(
    st.integers(1, 20).map(lambda coins: coins * E8),
    st.integers(1, 900).map(lambda lots: lots * E8),
    st.sampled_from([0, 1, E8 // 10, U64_MAX]),
)
order_specs = st.builds(
    OrderSpec,
    asset=assets,
    is_buy=st.booleans(),
    price_e8=prices_e8,
    size_e8=sizes_e8,
    tif=st.sampled_from([Tif.GTC] * 4 + [Tif.IOC, Tif.ALO, Tif.FRONTEND_MARKET]),
    reduce_only=st.sampled_from([False, False, True]),
    cloid=st.none() | st.sampled_from(CLOIDS),
    trigger=st.sampled_from([None] * 20 + [TriggerSpec(100 * E8, True, True)]),
)
cancel_specs = st.builds(CancelSpec, asset=assets, target=targets)
modify_specs = st.builds(ModifySpec, target=targets, order=order_specs)

_HEAD: Final = {
    "signer": signers,
    "nonce": nonces,
    "expires_after": st.sampled_from([None] * 20 + [START_MS - 1, START_MS + 1000]),
    "vault": st.sampled_from([None] * 20 + [ACCOUNTS[1]]),
}

placements: st.SearchStrategy[Command] = st.builds(
    PlaceOrders,
    **_HEAD,
    orders=st.lists(order_specs, max_size=3).map(tuple),
    grouping=st.sampled_from([Grouping.NA] * 20 + [Grouping.NORMAL_TPSL]),
)
cancellations: st.SearchStrategy[Command] = st.builds(
    CancelOrders, **_HEAD, cancels=st.lists(cancel_specs, max_size=3).map(tuple)
)
modifications: st.SearchStrategy[Command] = st.builds(
    ModifyOrders,
    **_HEAD,
    modifies=st.lists(modify_specs, max_size=2).map(tuple),
    always_place=st.booleans(),
)
account_commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(
        UpdateLeverage,
        **_HEAD,
        asset=assets,
        is_cross=st.sampled_from([True] * 9 + [False]),
        leverage=st.integers(0, 41),
    ),
    st.builds(Noop, **_HEAD, as_owner=st.booleans()),
    st.builds(
        ApproveAgent,
        **_HEAD,
        agent=st.sampled_from([*KEYS, ZERO_ADDRESS, ACCOUNTS[1]]),
        name=st.sampled_from(["", "a", "b", "c", "d", "x" * 17]),
        valid_until=st.none() | st.integers(START_MS - 10, START_MS + 5_000),
    ),
    st.builds(
        UsdSend,
        **_HEAD,
        destination=st.sampled_from(ACCOUNTS),
        usd=st.integers(0, 6_000 * USD) | st.just(U64_MAX),
    ),
)
admin_commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(
        MoveOracle,
        prices=st.lists(
            st.builds(
                OraclePrice,
                asset=assets,
                price_e8=prices_e8 | st.integers(1, 400 * E8),
            ),
            max_size=2,
        ).map(tuple),
    ),
    st.builds(
        Credit,
        account=st.sampled_from(ACCOUNTS),
        usd=st.integers(-1, 3_000 * USD) | st.just(U64_MAX),
        source=st.sampled_from(CreditSource),
    ),
    st.builds(OpenExchange, st.integers(-10, 10), st.integers(-10, 10)),
    st.builds(
        ListMarket,
        st.builds(
            Instrument,
            asset=st.integers(0, 3).map(AssetId),
            name=st.sampled_from(["BTC", "SOL", ""]),
            size_decimals=st.integers(-1, 7),
            max_leverage=st.integers(0, 101),
            opening_price_e8=prices_e8,
        ),
    ),
)

any_commands: st.SearchStrategy[Command] = st.one_of(
    placements,
    placements,
    placements,
    cancellations,
    modifications,
    account_commands,
    admin_commands,
)
