"""Strategies for commands that move money: between accounts and classes, and by spot trades.

Amounts are such that things are used up, and include what nobody has and what 64 bits just hold.
Nonces are left to whoever executes the commands, so that time may pass in days.
"""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

from model.commands import (
    CancelOrders,
    CancelSpec,
    ClassTransfer,
    Command,
    CreateSubAccount,
    Credit,
    CreditSource,
    CreditToken,
    FeeTier,
    ListMarket,
    ListToken,
    MakerTier,
    ModifyOrders,
    ModifySpec,
    OpenExchange,
    OrderSpec,
    PlaceOrders,
    RenameSubAccount,
    ReserveRequests,
    SendAsset,
    SpotSend,
    SubAccountSpotTransfer,
    SubAccountTransfer,
    Tif,
    UsdSend,
    Withdraw,
)
from model.ids import SPOT_ASSETS_FROM, USDC, AssetId, OrderId, TokenId
from model.instruments import Instrument, Token
from model.subaccounts import sub_account_address
from model.units import E8, USD
from tests.properties.commands import ACCOUNTS, CLOIDS, U64_MAX

BTC: Final = AssetId(0)
PAIRS: Final = (AssetId(SPOT_ASSETS_FROM), AssetId(SPOT_ASSETS_FROM + 1))
FUNDED: Final = ACCOUNTS[:3]
SUB_ACCOUNTS: Final = tuple(sub_account_address(FUNDED[0], number) for number in range(2))
EVERYBODY: Final = (*ACCOUNTS, *SUB_ACCOUNTS)

TERMS: Final = OpenExchange(
    450,
    150,
    700,
    400,
    (FeeTier(500 * USD, 400, 120, 333, 77), FeeTier(5_000 * USD, 300, 80, 100, 0)),
    (MakerTier(300_000, -20),),
    requests_free=400,
)

OPENING: Final[tuple[Command, ...]] = (
    TERMS,
    ListMarket(Instrument(BTC, "BTC", 2, 40, 100 * E8)),
    ListToken(Token(TokenId(1), "PURR", 2)),
    ListToken(Token(TokenId(2), "WHOLE", 0)),
    ListToken(Token(TokenId(3), "LONE", 8)),
    ListMarket(Instrument(PAIRS[0], "PURR/USDC", 2, 1, 2 * E8, base=TokenId(1))),
    ListMarket(Instrument(PAIRS[1], "WHOLE/USDC", 0, 1, 30 * E8, base=TokenId(2))),
    *(Credit(account, 5_000 * USD, CreditSource.FAUCET) for account in FUNDED),
    *(
        CreditToken(account, TokenId(token), amount * E8, CreditSource.FUND)
        for account in FUNDED
        for token, amount in ((USDC, 2_000), (1, 500), (2, 50), (3, 1))
    ),
    CreateSubAccount(FUNDED[0], 0, None, None, "first"),
)
"""A perpetual, two pairs, a token without a pair, three rich accounts and a sub-account."""

accounts = st.sampled_from(EVERYBODY)
tokens = st.sampled_from([TokenId(number) for number in (0, 0, 1, 1, 2, 3, 4, -1)])
amounts_e8 = st.one_of(
    st.integers(1, 300).map(lambda whole: whole * E8),
    st.integers(1, 10**11),
    st.sampled_from([0, 1, 99, 100, 101, U64_MAX]),
)
usd_amounts = st.integers(0, 3_000 * USD) | st.sampled_from([1, USD, USD + 1, U64_MAX])

_HEAD: Final = {
    "signer": st.sampled_from([*FUNDED * 4, ACCOUNTS[3]]),
    "nonce": st.just(0),
    "expires_after": st.none(),
    "vault": st.sampled_from([None] * 8 + [*SUB_ACCOUNTS]),
}
_WALLET: Final = {**_HEAD, "vault": st.none()}
_NAMED: Final = {**_WALLET, "account": st.sampled_from([None] * 6 + [*EVERYBODY])}

_TRADED: Final = (
    (PAIRS[0], st.integers(18, 22).map(lambda dimes: dimes * E8 // 10)),
    (PAIRS[0], st.integers(18, 22).map(lambda dimes: dimes * E8 // 10)),
    (PAIRS[1], st.integers(28, 32).map(lambda usd: usd * E8)),
    (BTC, st.integers(98, 102).map(lambda usd: usd * E8)),
)
"""Markets, and prices near those of their opening."""

order_specs: st.SearchStrategy[OrderSpec] = st.one_of(
    [
        st.builds(
            OrderSpec,
            asset=st.just(asset),
            is_buy=st.booleans(),
            price_e8=prices,
            size_e8=st.integers(6, 60).map(lambda coins: coins * E8)
            | st.integers(1, 3_000).map(lambda lots: lots * E8 // 100),
            tif=st.sampled_from([Tif.GTC] * 4 + [Tif.IOC, Tif.ALO, Tif.FRONTEND_MARKET]),
            reduce_only=st.sampled_from([False] * 19 + [True]),
            cloid=st.none() | st.sampled_from(CLOIDS),
        )
        for asset, prices in _TRADED
    ]
)
targets = st.integers(1, 60).map(OrderId) | st.sampled_from(CLOIDS)

spot_orders: st.SearchStrategy[Command] = st.one_of(
    st.builds(
        PlaceOrders, **_HEAD, orders=st.lists(order_specs, min_size=1, max_size=3).map(tuple)
    ),
    st.builds(
        PlaceOrders, **_HEAD, orders=st.lists(order_specs, min_size=1, max_size=3).map(tuple)
    ),
    st.builds(
        CancelOrders,
        **_HEAD,
        cancels=st.lists(
            st.builds(CancelSpec, asset=st.sampled_from([*PAIRS, BTC]), target=targets),
            min_size=1,
            max_size=3,
        ).map(tuple),
    ),
    st.builds(
        ModifyOrders,
        **_HEAD,
        modifies=st.lists(
            st.builds(ModifySpec, target=targets, order=order_specs), min_size=1, max_size=2
        ).map(tuple),
        always_place=st.booleans(),
    ),
)
transfers: st.SearchStrategy[Command] = st.one_of(
    st.builds(UsdSend, **_WALLET, destination=accounts, usd=usd_amounts),
    st.builds(ClassTransfer, **_NAMED, usd=usd_amounts, to_perp=st.booleans()),
    st.builds(SpotSend, **_WALLET, destination=accounts, token=tokens, amount_e8=amounts_e8),
    st.builds(
        SendAsset,
        **_NAMED,
        destination=accounts,
        from_perp=st.booleans(),
        to_perp=st.booleans(),
        token=tokens,
        amount_e8=amounts_e8,
    ),
    st.builds(Withdraw, **_WALLET, destination=accounts, usd=usd_amounts),
    st.builds(
        SubAccountTransfer,
        **_HEAD,
        sub_account=st.sampled_from([*SUB_ACCOUNTS * 2, ACCOUNTS[1]]),
        is_deposit=st.booleans(),
        usd=usd_amounts,
    ),
    st.builds(
        SubAccountSpotTransfer,
        **_HEAD,
        sub_account=st.sampled_from([*SUB_ACCOUNTS * 2, ACCOUNTS[1]]),
        is_deposit=st.booleans(),
        token=tokens,
        amount_e8=amounts_e8,
    ),
)
settings_of_accounts: st.SearchStrategy[Command] = st.one_of(
    st.builds(CreateSubAccount, **_HEAD, name=st.sampled_from(["a", "", "x" * 17])),
    st.builds(RenameSubAccount, **_HEAD, sub_account=accounts, name=st.sampled_from(["b", ""])),
    st.builds(
        ReserveRequests, **_HEAD, requests=st.integers(0, 2_000) | st.sampled_from([2**32 - 1])
    ),
)
credits: st.SearchStrategy[Command] = st.one_of(
    st.builds(
        Credit,
        account=accounts,
        usd=st.integers(-1, 3_000 * USD) | st.just(U64_MAX),
        source=st.sampled_from(CreditSource),
    ),
    st.builds(
        CreditToken,
        account=accounts,
        token=tokens,
        amount_e8=amounts_e8,
        source=st.sampled_from(CreditSource),
    ),
    st.builds(
        ListToken,
        st.builds(
            Token,
            token=st.integers(3, 5).map(TokenId),
            name=st.sampled_from(["PURR", "NEW", "", "a b"]),
            size_decimals=st.integers(-1, 9),
        ),
    ),
)

money_commands: st.SearchStrategy[Command] = st.one_of(
    spot_orders, spot_orders, spot_orders, transfers, transfers, settings_of_accounts, credits
)
