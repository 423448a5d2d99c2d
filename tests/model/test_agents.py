"""Agents: who may sign for whom, until when."""

from __future__ import annotations

from model.agents import VALIDITY_DEFAULT_MS, ZERO_ADDRESS
from model.commands import Noop, UsdSend
from model.events import AgentApproved, CommandRefused, NonceUsed, OrderPlaced, UsdSent
from model.ids import Address
from model.refusals import Refusal
from model.state import AgentState
from model.units import USD
from tests.model.desk import ALICE, BOB, KEY, START_MS, STRANGER, Desk, only, order

KEY_2 = Address("0x" + "2" * 40)
KEY_3 = Address("0x" + "3" * 40)
KEY_4 = Address("0x" + "4" * 40)


def test_agent_trades_for_its_master() -> None:
    """Its orders are the master's."""
    desk = Desk()
    desk.approve(ALICE, KEY)

    assert only(desk.place(KEY, order("buy", "99", "1")), OrderPlaced).account == ALICE
    assert desk.exchange.resolve(KEY) == ALICE
    assert desk.exchange.agents() == {KEY: ALICE}
    assert not desk.exchange.knows(KEY)


def test_agent_may_not_move_money_or_approve_others() -> None:
    """What a wallet signs for itself never acts for a master."""
    desk = Desk()
    desk.approve(ALICE, KEY)
    missing = [CommandRefused(KEY, Refusal.DEPOSIT_MISSING, (KEY,))]

    assert desk.send(KEY, BOB, 1 * USD) == missing
    assert desk.approve(KEY, KEY_2) == missing
    assert desk.apply(Noop(*desk.head(KEY), as_owner=True)) == missing
    assert desk.apply(Noop(*desk.head(KEY))) == [NonceUsed(KEY, desk.nonce)]


def test_validity_defaults_to_ninety_days_and_ends() -> None:
    """In the first block at its end the agent is a stranger again."""
    desk = Desk()
    approved = only(desk.approve(ALICE, KEY, "bot"), AgentApproved)

    assert approved.valid_until == START_MS + VALIDITY_DEFAULT_MS
    desk.block(approved.valid_until - 1)
    desk.nonce = approved.valid_until
    assert only(desk.place(KEY, order("buy", "99", "1")), OrderPlaced).account == ALICE
    desk.block(approved.valid_until)
    assert only(desk.place(KEY, order("buy", "99", "1")), CommandRefused).reason is (
        Refusal.SIGNER_UNKNOWN
    )
    assert desk.exchange.agents() == {}


def test_approving_under_the_same_name_replaces_at_once() -> None:
    """The old key signs no more; unnamed is a name like any other."""
    for name in ("", "bot"):
        desk = Desk()
        desk.approve(ALICE, KEY, name)

        approved = only(desk.approve(ALICE, KEY_2, name), AgentApproved)

        assert approved.replaced == KEY
        assert desk.exchange.resolve(KEY) is None
        assert desk.exchange.resolve(KEY_2) == ALICE


def test_zero_address_removes_the_agent_of_that_name() -> None:
    """Others stay; removing nobody is no error."""
    desk = Desk()
    desk.approve(ALICE, KEY, "bot")
    desk.approve(ALICE, KEY_2, "other")

    removed = only(desk.approve(ALICE, ZERO_ADDRESS, "bot"), AgentApproved)
    again = only(desk.approve(ALICE, ZERO_ADDRESS, "bot"), AgentApproved)

    assert removed == AgentApproved(ALICE, Address(""), "bot", 0, KEY)
    assert again.replaced is None
    assert [agent.name for agent in desk.state(ALICE).agents] == ["other"]


def test_unnamed_agent_does_not_count_as_named() -> None:
    """One unnamed and three named make four."""
    desk = Desk()
    for agent, name in ((KEY, ""), (KEY_2, "a"), (KEY_3, "b"), (KEY_4, "c")):
        assert only(desk.approve(ALICE, agent, name), AgentApproved).agent == agent

    assert len(desk.state(ALICE).agents) == 4


def test_agent_of_another_account_is_taken_until_it_expires() -> None:
    """Then its address is free, and the account that had it has it no more."""
    desk = Desk()
    desk.approve(ALICE, KEY, "bot", START_MS + 10)

    taken = desk.approve(BOB, KEY)
    desk.block(START_MS + 10)
    approved = desk.approve(BOB, KEY)

    assert only(taken, CommandRefused).reason is Refusal.AGENT_ADDRESS_TAKEN
    assert only(approved, AgentApproved).account == BOB
    assert desk.state(ALICE).agents == ()
    assert desk.exchange.resolve(KEY) == BOB


def test_expired_agents_make_room() -> None:
    """They do not count, and the next approval lets go of them."""
    desk = Desk()
    for agent, name in ((KEY, "a"), (KEY_2, "b"), (KEY_3, "c")):
        desk.approve(ALICE, agent, name, START_MS + 10)
    desk.block(START_MS + 10)
    assert desk.state(ALICE).agents == ()

    desk.approve(ALICE, KEY_4, "d", START_MS + 20)

    assert list(desk.exchange.agent_book.agents) == [KEY_4]
    assert desk.state(ALICE).agents == (AgentState(KEY_4, "d", START_MS + 20),)


def test_expired_agent_may_change_its_name() -> None:
    """The same address comes back to the same account under another name."""
    desk = Desk()
    desk.approve(ALICE, KEY, "a", START_MS + 10)
    desk.block(START_MS + 10)

    desk.approve(ALICE, KEY, "b", START_MS + 20)

    assert desk.state(ALICE).agents == (AgentState(KEY, "b", START_MS + 20),)


def test_nonces_of_a_removed_agent_are_kept() -> None:
    """What it once signed cannot be replayed when the address comes back."""
    desk = Desk()
    desk.approve(ALICE, KEY)
    signed = Noop(KEY, START_MS + 1000, None, None)
    desk.apply(signed)
    desk.approve(ALICE, ZERO_ADDRESS)
    desk.approve(ALICE, KEY)

    assert only(desk.apply(signed), CommandRefused).reason is Refusal.NONCE_DUPLICATE


def test_nonces_are_kept_by_signer_not_by_account() -> None:
    """Master and agent may use the same nonce."""
    desk = Desk()
    desk.approve(ALICE, KEY)

    for signer in (ALICE, KEY):
        assert desk.apply(Noop(signer, START_MS + 1000, None, None)) == [
            NonceUsed(signer, START_MS + 1000)
        ]


def test_agent_that_was_given_money_still_trades_for_its_master() -> None:
    """As a wallet it acts for itself, as a trader for its master."""
    desk = Desk()
    desk.approve(ALICE, KEY)
    desk.credit(KEY, 100)

    assert only(desk.place(KEY, order("buy", "99", "1")), OrderPlaced).account == ALICE
    sent = desk.apply(UsdSend(*desk.head(KEY), STRANGER, 5 * USD))
    assert only(sent, UsdSent).sender == KEY
