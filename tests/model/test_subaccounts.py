"""Sub-accounts: opening, acting for them, money in and out, shared fees."""

from __future__ import annotations

from msgspec import structs

from model.commands import (
    ClassTransfer,
    CreateSubAccount,
    Noop,
    OpenExchange,
    PlaceOrders,
    RenameSubAccount,
    SendAsset,
    SubAccountSpotTransfer,
    SubAccountTransfer,
)
from model.commands import FeeTier as Tier
from model.events import (
    CommandRefused,
    NonceUsed,
    OrderPlaced,
    SubAccountCreated,
    SubAccountFunded,
    SubAccountRenamed,
    TokenSent,
    Traded,
)
from model.exchange import Exchange
from model.ids import USDC, Address
from model.nonces import DAY_MS
from model.refusals import Refusal
from model.state import SubAccountState
from model.subaccounts import SUB_ACCOUNTS_MAX, sub_account_address
from model.units import E8, USD
from tests.model.desk import ALICE, BOB, CAROL, KEY, START_MS, Desk, only, order
from tests.model.spot_desk import PURR, SpotDesk


def open_sub_account(desk: Desk, master: Address = ALICE, name: str = "one") -> Address:
    """Open a sub-account and return its address."""
    return only(desk.apply(CreateSubAccount(*desk.head(master), name)), SubAccountCreated).account


def fund(desk: Desk, address: Address, usd: int, *, is_deposit: bool = True) -> None:
    """Move micro-USD between Alice and a sub-account."""
    events = desk.apply(SubAccountTransfer(*desk.head(ALICE), address, is_deposit, usd))
    assert events == [SubAccountFunded(ALICE, address, is_deposit, usd)]


def test_sub_account_gets_an_address_that_follows_from_its_master() -> None:
    """Its number and its master say it all; each replay gives the same."""
    desk = Desk()

    first, second = open_sub_account(desk), open_sub_account(desk, name="two")

    assert (first, second) == (sub_account_address(ALICE, 0), sub_account_address(ALICE, 1))
    assert len(first) == 42
    state = desk.state(ALICE)
    assert state.sub_accounts == (SubAccountState(first, "one"), SubAccountState(second, "two"))
    assert desk.state(first).master == ALICE
    assert desk.exchange.sub_accounts() == {first: ALICE, second: ALICE}


def test_money_goes_in_and_out() -> None:
    """Both ways, cash and tokens."""
    desk = SpotDesk()
    address = open_sub_account(desk)
    fund(desk, address, 500 * USD)
    fund(desk, address, 200 * USD, is_deposit=False)
    give = SubAccountSpotTransfer(*desk.head(ALICE), address, True, USDC, 5 * E8)
    take = SubAccountSpotTransfer(*desk.head(ALICE), address, False, USDC, 2 * E8)

    assert desk.apply(give) == [TokenSent(ALICE, address, USDC, 5 * E8, 5 * USD)]
    assert desk.apply(take) == [TokenSent(address, ALICE, USDC, 2 * E8, 2 * USD)]
    assert desk.state(address).cash == 300 * USD
    assert desk.total(address) == 3 * E8


def test_master_and_its_agents_trade_for_a_sub_account() -> None:
    """The vault of a command names the account that acts; the master's own stays as it is."""
    desk = Desk()
    address = open_sub_account(desk)
    fund(desk, address, 1_000 * USD)
    desk.approve(ALICE, KEY)

    for signer in (ALICE, KEY):
        _, nonce, *_ = desk.head(signer)
        command = PlaceOrders(signer, nonce, None, address, (order("buy", "90", "1"),))
        assert only(desk.apply(command), OrderPlaced).account == address

    assert len(desk.open_oids(address)) == 2
    assert desk.open_oids(ALICE) == []


def test_strangers_do_not_act_for_a_sub_account() -> None:
    """Nobody but its master; the nonce is not used up."""
    desk = Desk()
    address = open_sub_account(desk)
    _, nonce, *_ = desk.head(BOB)

    events = desk.apply(Noop(BOB, nonce, None, address))

    assert events == [CommandRefused(BOB, Refusal.VAULT_UNKNOWN, (address,))]
    assert desk.apply(Noop(BOB, nonce, None, None)) == [NonceUsed(BOB, nonce)]


def test_sub_accounts_margin_is_its_own() -> None:
    """What the master has does not help it."""
    desk = Desk()
    address = open_sub_account(desk)
    fund(desk, address, 10 * USD)
    _, nonce, *_ = desk.head(ALICE)

    events = desk.apply(PlaceOrders(ALICE, nonce, None, address, (order("buy", "99", "3"),)))

    assert [getattr(event, "reason", None) for event in events] == [Refusal.MARGIN_TOO_LOW]


def test_sub_account_has_no_sub_accounts() -> None:
    """One level only."""
    desk = Desk()
    address = open_sub_account(desk)
    _, nonce, *_ = desk.head(ALICE)

    events = desk.apply(CreateSubAccount(ALICE, nonce, None, address, "deeper"))

    assert events == [CommandRefused(ALICE, Refusal.SUB_ACCOUNTS_AT_MAX, (0,), True)]


def test_sub_accounts_are_limited() -> None:
    """The last one that fits is opened, the next is not."""
    desk = Desk()
    for number in range(SUB_ACCOUNTS_MAX):
        open_sub_account(desk, name=str(number))

    events = desk.apply(CreateSubAccount(*desk.head(ALICE), "more"))

    assert only(events, CommandRefused).reason is Refusal.SUB_ACCOUNTS_AT_MAX


def test_money_sent_to_the_address_before_is_the_sub_accounts() -> None:
    """Nobody has a key of that address, so nobody else can own what lies there."""
    desk = Desk()
    address = sub_account_address(ALICE, 0)
    desk.send(BOB, address, 7 * USD)

    assert open_sub_account(desk) == address
    assert desk.state(address).cash == 7 * USD


def test_name_can_be_changed() -> None:
    """By the master alone."""
    desk = Desk()
    address = open_sub_account(desk)

    renamed = desk.apply(RenameSubAccount(*desk.head(ALICE), address, "other"))
    refused = desk.apply(RenameSubAccount(*desk.head(BOB), address, "mine"))

    assert renamed == [SubAccountRenamed(ALICE, address, "other")]
    assert refused == [CommandRefused(BOB, Refusal.VAULT_UNKNOWN, (address,), True)]
    assert desk.state(ALICE).sub_accounts == (SubAccountState(address, "other"),)


def test_wallet_moves_money_of_a_named_sub_account() -> None:
    """Class transfers and sends may name a sub-account as the one that they are made for."""
    desk = Desk()
    address = open_sub_account(desk)
    fund(desk, address, 100 * USD)

    desk.apply(ClassTransfer(*desk.head(ALICE), 40 * USD, False, address))
    desk.apply(SendAsset(*desk.head(ALICE), CAROL, False, True, USDC, 15 * E8, address))
    stolen = desk.apply(ClassTransfer(*desk.head(BOB), 1 * USD, False, address))

    assert desk.state(address).cash == 60 * USD
    assert desk.state(address).balances[0].total_e8 == 25 * E8
    assert desk.state(CAROL).cash == 10_015 * USD
    assert stolen == [CommandRefused(BOB, Refusal.VAULT_UNKNOWN, (address,), True)]


def test_volume_of_a_sub_account_counts_for_its_master() -> None:
    """And the master's tier is the sub-account's, whoever traded (Hyperliquid: fees)."""
    terms = OpenExchange(450, 150, fee_tiers=(Tier(100 * USD, 400, 120, 0, 0),))
    desk = Desk(terms=terms)
    address = open_sub_account(desk)
    fund(desk, address, 1_000 * USD)
    _, nonce, *_ = desk.head(ALICE)
    desk.rest(BOB, order("sell", "100", "1.01"))
    desk.apply(PlaceOrders(ALICE, nonce, None, address, (order("buy", "100", "1.01"),)))
    desk.block(START_MS + DAY_MS)

    desk.rest(BOB, order("sell", "100", "1"))
    traded = only(desk.place(ALICE, order("buy", "100", "1")), Traded)

    assert traded.taker.fee == 100 * 400
    assert traded.maker.account == BOB
    assert traded.maker.fee == 100 * 120
    assert desk.state(address).fees == desk.state(ALICE).fees
    assert desk.state(address).volume == 101 * USD


def test_sub_accounts_survive_a_snapshot() -> None:
    """With their order, names, masters and shared fees."""
    desk = SpotDesk()
    first = open_sub_account(desk, name="z")
    open_sub_account(desk, name="a")
    fund(desk, first, 3 * USD)
    desk.credit_token(first, PURR, "3")

    again = Exchange.load(desk.exchange.dump())

    assert again.dump() == desk.exchange.dump()
    assert again.account_state(ALICE) == desk.state(ALICE)
    assert again.engine.accounts[first].fees is again.engine.accounts[ALICE].fees


def test_transfer_to_a_foreign_account_is_no_sub_account_transfer() -> None:
    """Both ends are named in the refusal, giver first."""
    desk = Desk()
    command = SubAccountTransfer(*desk.head(ALICE), BOB, False, 1 * USD)

    events = desk.apply(command)
    other = desk.apply(structs.replace(command, nonce=command.nonce + 1, is_deposit=True))

    assert only(events, CommandRefused).detail == (BOB, ALICE)
    assert only(other, CommandRefused).detail == (ALICE, BOB)
