"""Agents: keys that sign orders for an account and can do nothing else with it.

An account has one unnamed agent and up to three named ones. Approving under a name replaces the
agent of that name at once. An agent whose time is up no longer counts: neither for signing nor for
the limit, and its address is free. Used nonces are kept per signer for ever, so an address that
comes back cannot have old actions replayed.

Source: Hyperliquid API documentation, nonces and API wallets.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from model.accounts import Account
from model.commands import ApproveAgent
from model.events import AgentApproved
from model.ids import Address
from model.nonces import DAY_MS
from model.refusals import Refusal
from model.state import AgentState

ZERO_ADDRESS: Final = Address("0x" + "0" * 40)
NO_AGENT: Final = Address("")
NAMED_AGENTS_MAX: Final = 3
AGENT_NAME_LENGTH_MAX: Final = 16
VALIDITY_DEFAULT_MS: Final = 90 * DAY_MS
VALIDITY_MAX_MS: Final = 180 * DAY_MS


class Agent(Struct, frozen=True, array_like=True, gc=False):
    """An approved key. It may sign for ``master`` at block times before ``valid_until`` (ms)."""

    master: Address
    name: str
    valid_until: int


class AgentBook:
    """All agents by address. Which names an account has given out stands in the account."""

    __slots__ = ("agents",)

    def __init__(self) -> None:
        self.agents: dict[Address, Agent] = {}

    def master_of(self, signer: Address, time_ms: int) -> Address | None:
        """Return the account that an unexpired agent signs for."""
        agent = self.agents.get(signer)
        return agent.master if agent is not None and time_ms < agent.valid_until else None

    def of_account(self, account: Account, time_ms: int) -> tuple[AgentState, ...]:
        """Return an account's unexpired agents, ordered by name."""
        return tuple(
            AgentState(address, name, self.agents[address].valid_until)
            for name, address in sorted(account.agents.items())
            if time_ms < self.agents[address].valid_until
        )

    def refusal(
        self, account: Account, command: ApproveAgent, *, address_taken: bool, time_ms: int
    ) -> tuple[Refusal, tuple[int, ...]] | None:
        """Say why an agent may not be approved. ``address_taken`` tells that it is an account's."""
        if len(command.name) > AGENT_NAME_LENGTH_MAX:
            return Refusal.AGENT_NAME_LENGTH, ()
        if command.agent == ZERO_ADDRESS:
            return None
        if address_taken or self.master_of(command.agent, time_ms) is not None:
            return Refusal.AGENT_ADDRESS_TAKEN, ()
        if command.valid_until is not None:
            if command.valid_until <= time_ms:
                return Refusal.AGENT_VALIDITY_PAST, ()
            if command.valid_until > time_ms + VALIDITY_MAX_MS:
                return Refusal.AGENT_VALIDITY_TOO_LONG, ()
        if command.name:
            others = sum(
                time_ms < self.agents[address].valid_until
                for name, address in account.agents.items()
                if name not in ("", command.name)
            )
            if others >= NAMED_AGENTS_MAX:
                return Refusal.AGENTS_AT_MAX, (NAMED_AGENTS_MAX,)
        return None

    def approve(
        self,
        account: Account,
        command: ApproveAgent,
        *,
        masters: dict[Address, Account],
        time_ms: int,
    ) -> AgentApproved:
        """Carry out an approval that was not refused; ``masters`` are all accounts."""
        replaced = account.agents.pop(command.name, None)
        if replaced is not None:
            del self.agents[replaced]
        if command.agent == ZERO_ADDRESS:
            return AgentApproved(account.address, NO_AGENT, command.name, 0, replaced)
        expired = self.agents.get(command.agent)
        if expired is not None:
            del masters[expired.master].agents[expired.name]
        self._drop_expired(account, time_ms)
        valid_until = command.valid_until
        if valid_until is None:
            valid_until = time_ms + VALIDITY_DEFAULT_MS
        self.agents[command.agent] = Agent(account.address, command.name, valid_until)
        account.agents[command.name] = command.agent
        return AgentApproved(account.address, command.agent, command.name, valid_until, replaced)

    def _drop_expired(self, account: Account, time_ms: int) -> None:
        """Let go of an account's expired agents, which keeps what it can hold bounded."""
        for name, address in list(account.agents.items()):
            if self.agents[address].valid_until <= time_ms:
                del account.agents[name]
                del self.agents[address]
