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
    CancelTwap,
    ClassTransfer,
    Command,
    CreateSubAccount,
    Credit,
    CreditSource,
    CreditToken,
    FeeTier,
    Grouping,
    ListMarket,
    ListToken,
    MakerTier,
    MarkSource,
    ModifyOrders,
    ModifySpec,
    MoveOracle,
    Noop,
    OpenExchange,
    OraclePrice,
    OrderSpec,
    PlaceOrders,
    PlaceTwap,
    RenameSubAccount,
    ReserveRequests,
    ScheduleCancel,
    SendAsset,
    SpotSend,
    SubAccountSpotTransfer,
    SubAccountTransfer,
    Tick,
    Tif,
    TopUpIsolatedMargin,
    TriggerSpec,
    UpdateIsolatedMargin,
    UpdateLeverage,
    UsdSend,
    Withdraw,
)
from model.ids import BACKSTOP, SPOT_ASSETS_FROM, USDC, Address, AssetId, Cloid, OrderId, TokenId
from model.instruments import Instrument, MarginMode, MarginTier, Token
from model.nonces import WINDOW_FUTURE_MS
from model.subaccounts import sub_account_address
from model.units import E8, USD

START_MS: Final = 1_700_000_000_000
ACCOUNTS: Final = tuple(Address("0x" + letter * 40) for letter in "abcd")
KEYS: Final = tuple(Address("0x" + digit * 40) for digit in "123")
SUB_ACCOUNTS: Final = tuple(sub_account_address(master, 0) for master in ACCOUNTS[:2])
"""Those that the first two accounts may open."""
CLOIDS: Final = tuple(Cloid(f"0x{number:032x}") for number in range(3))
U64_MAX: Final = 2**64 - 1

PLAIN_TERMS: Final = OpenExchange(450, 150)
FULL_TERMS: Final = OpenExchange(
    450,
    150,
    700,
    400,
    (FeeTier(5_000 * USD, 400, 120, 600, 300), FeeTier(50_000 * USD, 300, 0, 500, 100)),
    (MakerTier(5_000, -10), MakerTier(500_000, -30)),
    MarkSource.MEDIAN,
    40,
)
"""Marks from books, fee tiers within reach, and few requests."""

PURR: Final = TokenId(1)
PAIR: Final = SPOT_ASSETS_FROM


def opening(terms: OpenExchange) -> tuple[Command, ...]:
    """Return what opens an exchange under these terms.

    Two perpetuals, one of them with margin tiers; a third with isolated margin only and a cap of
    open interest; a spot pair. Three accounts with money, the backstop, and a stranger.
    """
    tiers = (MarginTier(0, 40), MarginTier(20_000 * USD, 10))
    strict = {"margin_mode": MarginMode.STRICT_ISOLATED, "open_interest_max": 4_000 * USD}
    return (
        terms,
        ListMarket(Instrument(AssetId(0), "BTC", 2, 40, 100 * E8, tiers)),
        ListMarket(Instrument(AssetId(1), "ETH", 0, 5, 10 * E8)),
        ListMarket(Instrument(AssetId(2), "DOGE", 1, 20, 100 * E8, **strict)),  # type: ignore[arg-type]
        ListToken(Token(PURR, "PURR", 0)),
        ListMarket(Instrument(PAIR, "PURR/USDC", 0, 1, 10 * E8, base=PURR)),
        *(Credit(account, 5_000 * USD, CreditSource.FAUCET) for account in ACCOUNTS[:3]),
        Credit(BACKSTOP, 2_000 * USD, CreditSource.FUND),
        CreditToken(ACCOUNTS[0], PURR, 500 * E8, CreditSource.FUND),
        CreditToken(ACCOUNTS[1], USDC, 2_000 * E8, CreditSource.FUND),
    )


assets = st.sampled_from(
    [AssetId(0)] * 6 + [AssetId(1)] * 3 + [AssetId(2)] * 3 + [PAIR] * 2 + [AssetId(3)]
)
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
)
sides = st.booleans()
trigger_prices_e8 = st.integers(85, 115).map(lambda usd: usd * E8) | prices_e8


def trigger_orders(
    *,
    assets: st.SearchStrategy[AssetId] = assets,
    is_buy: st.SearchStrategy[bool] = sides,
    sizes_e8: st.SearchStrategy[int] = sizes_e8,
) -> st.SearchStrategy[OrderSpec]:
    """Draw stops and take-profits; most of them reduce and have a limit price near their own."""
    return st.builds(
        OrderSpec,
        asset=assets,
        is_buy=is_buy,
        price_e8=trigger_prices_e8,
        size_e8=sizes_e8,
        tif=st.just(Tif.GTC),
        reduce_only=st.sampled_from([True] * 15 + [False]),
        cloid=st.none() | st.sampled_from(CLOIDS),
        trigger=st.builds(
            TriggerSpec,
            price_e8=trigger_prices_e8,
            is_market=st.booleans(),
            is_stop_loss=st.booleans(),
        ),
    )


@st.composite
def groups(draw: st.DrawFn) -> tuple[OrderSpec, ...]:
    """Draw an order and the triggers that protect what it opens."""
    main = draw(order_specs)
    children = trigger_orders(assets=st.just(main.asset), is_buy=st.just(not main.is_buy))
    return main, *draw(st.lists(children, max_size=3))


cancel_specs = st.builds(CancelSpec, asset=assets, target=targets)
modify_specs = st.builds(ModifySpec, target=targets, order=order_specs | trigger_orders())

_HEAD: Final = {
    "signer": signers,
    "nonce": nonces,
    "expires_after": st.sampled_from([None] * 20 + [START_MS - 1, START_MS + 1000]),
    "vault": st.sampled_from([None] * 20 + [ACCOUNTS[1], *SUB_ACCOUNTS]),
}

placements: st.SearchStrategy[Command] = st.builds(
    PlaceOrders,
    **_HEAD,
    orders=st.lists(order_specs | order_specs | trigger_orders(), max_size=3).map(tuple),
    grouping=st.sampled_from([Grouping.NA] * 20 + list(Grouping)),
)
groupings: st.SearchStrategy[Command] = st.one_of(
    st.builds(PlaceOrders, **_HEAD, orders=groups(), grouping=st.just(Grouping.NORMAL_TPSL)),
    st.builds(
        PlaceOrders,
        **_HEAD,
        orders=st.lists(trigger_orders(sizes_e8=st.just(0) | sizes_e8), min_size=1, max_size=2).map(
            tuple
        ),
        grouping=st.just(Grouping.POSITION_TPSL),
    ),
)
timed_commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(
        PlaceTwap,
        **_HEAD,
        asset=assets,
        is_buy=st.booleans(),
        size_e8=sizes_e8,
        reduce_only=st.booleans(),
        minutes=st.integers(4, 7) | st.just(1441),
        randomize=st.booleans(),
    ),
    st.builds(CancelTwap, **_HEAD, asset=assets, twap_id=st.integers(1, 5)),
    st.builds(
        ScheduleCancel,
        **_HEAD,
        at_ms=st.none() | st.integers(START_MS, START_MS + 100_000),
    ),
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
usd_amounts = st.integers(0, 6_000 * USD) | st.just(U64_MAX)
token_amounts = st.integers(0, 900).map(lambda coins: coins * E8) | st.sampled_from([1, U64_MAX])
tokens = st.sampled_from([USDC, PURR, PURR, TokenId(2)])
owners = st.sampled_from([*ACCOUNTS, BACKSTOP, *SUB_ACCOUNTS])

margin_commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(
        UpdateLeverage,
        **_HEAD,
        asset=assets,
        is_cross=st.booleans(),
        leverage=st.sampled_from([1, 3, 5, 20]),
    ),
    st.builds(UpdateIsolatedMargin, **_HEAD, asset=assets, usd=st.integers(-500 * USD, 500 * USD)),
    st.builds(
        TopUpIsolatedMargin,
        **_HEAD,
        asset=assets,
        leverage_e8=st.integers(0, 6).map(lambda halves: halves * E8 // 2),
    ),
)
money_commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(ClassTransfer, **_HEAD, usd=usd_amounts, to_perp=st.booleans()),
    st.builds(SpotSend, **_HEAD, destination=owners, token=tokens, amount_e8=token_amounts),
    st.builds(
        SendAsset,
        **_HEAD,
        destination=owners,
        from_perp=st.booleans(),
        to_perp=st.booleans(),
        token=tokens,
        amount_e8=token_amounts,
        account=st.none() | st.sampled_from(SUB_ACCOUNTS),
    ),
    st.builds(Withdraw, **_HEAD, destination=owners, usd=usd_amounts),
    st.builds(CreateSubAccount, **_HEAD, name=st.sampled_from(["", "one", "two"])),
    st.builds(RenameSubAccount, **_HEAD, sub_account=owners, name=st.sampled_from(["", "three"])),
    st.builds(
        SubAccountTransfer, **_HEAD, sub_account=owners, is_deposit=st.booleans(), usd=usd_amounts
    ),
    st.builds(
        SubAccountSpotTransfer,
        **_HEAD,
        sub_account=owners,
        is_deposit=st.booleans(),
        token=tokens,
        amount_e8=token_amounts,
    ),
    st.builds(ReserveRequests, **_HEAD, requests=st.integers(-1, 100)),
)
oracle_moves: st.SearchStrategy[Command] = st.builds(
    MoveOracle,
    prices=st.lists(
        st.builds(
            OraclePrice,
            asset=st.integers(0, 3).map(AssetId),
            price_e8=prices_e8 | st.integers(1, 400 * E8),
            outside_e8=st.just(0) | prices_e8,
        ),
        max_size=3,
    ).map(tuple),
)
clock_commands: st.SearchStrategy[Command] = st.one_of(oracle_moves, st.just(Tick()))
admin_commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(
        Credit,
        account=st.sampled_from(ACCOUNTS),
        usd=st.integers(-1, 3_000 * USD) | st.just(U64_MAX),
        source=st.sampled_from(CreditSource),
    ),
    st.builds(
        CreditToken,
        account=owners,
        token=tokens,
        amount_e8=st.integers(-1, 900 * E8) | st.just(U64_MAX),
        source=st.sampled_from(CreditSource),
    ),
    st.builds(
        ListToken, st.builds(Token, tokens, st.sampled_from(["HYPE", "PURR", ""]), st.just(2))
    ),
    st.builds(OpenExchange, st.integers(-10, 10), st.integers(-10, 10)),
    st.builds(
        ListMarket,
        st.builds(
            Instrument,
            asset=st.integers(0, 4).map(AssetId),
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
    groupings,
    cancellations,
    modifications,
    timed_commands,
    account_commands,
    margin_commands,
    money_commands,
    clock_commands,
    clock_commands,
    admin_commands,
)
