"""Our own client of the exchange: everything over one WebSocket, reconnecting by itself.

    async with open_client("http://127.0.0.1:8000", key=key) as client:
        book = await client.info({"type": "l2Book", "coin": "BTC"})
        async with client.subscribe({"type": "trades", "coin": "BTC"}) as trades:
            async for item in trades:
                ...

Nothing here takes a timeout: put the call into a ``trio.fail_after`` scope. A request made while
there is no connection waits for one. A request whose connection breaks fails with
ConnectionLostError and is not repeated, since an action may have happened. Subscriptions are made
again after each reconnect; their feeds show an Interruption where that happened.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import trio
from attrs import define, field

from api.client_errors import ActionRefusedError, ClientError
from api.client_feeds import FRAMES_WAITING_MAX, Feed, Overflow
from api.client_link import Endpoint, Link
from api.signing import Chain, Signature, SigningKey, sign_l1_action, sign_user_action


@asynccontextmanager
async def open_client(
    url: str,
    *,
    key: SigningKey | None = None,
    chain: Chain = Chain.TESTNET,
    is_patient: bool = False,
    clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> AsyncIterator[Client]:
    """Open a client; it is closed when the block ends.

    Args:
        url: base URL of the exchange.
        key: signs actions; not needed for reading.
        chain: what signatures are meant for.
        is_patient: do not wait for the first connection, and never give it up.
        clock_ms: gives nonces, in milliseconds since 1970.

    Raises:
        ValueError: the URL is none.
        UnreachableError: the first connection could not be made, and the client is not patient.
    """
    client = Client(Link(Endpoint.of_url(url)), key, chain, clock_ms)
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.link.run)
        try:
            if not is_patient:
                await client.link.wait_connected_once()
            yield client
        except Exception as error:  # noqa: BLE001 - raised below, outside of the nursery's group
            failure = error
        await client.link.close()
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


@define
class Client:
    """One account's conversation with an exchange. Make it with ``open_client``.

    ``link`` is the connection: whether there is one, why there is none, and requests as they are.
    """

    link: Link
    key: SigningKey | None
    chain: Chain
    clock_ms: Callable[[], int]
    _nonce: int = field(init=False, default=0)

    async def info(self, request: Mapping[str, Any]) -> Any:
        """Ask what ``POST /info`` answers; return the decoded answer.

        Raises:
            RequestRefusedError: the exchange does not understand the request.
            ConnectionLostError: the connection broke meanwhile.
        """
        answer = await self.link.post("info", request)
        return answer["data"]

    def subscribe(
        self,
        subscription: Mapping[str, Any],
        *,
        overflow: Overflow = Overflow.DROP_OLDEST,
        frames_waiting_max: int = FRAMES_WAITING_MAX,
    ) -> AbstractAsyncContextManager[Feed]:
        """Subscribe for the duration of a block; the block starts when the exchange has agreed.

        Raises:
            SubscriptionRefusedError: the exchange does not serve it.
            ClientError: this client has that subscription already.
        """
        return self.link.subscribe(
            subscription, overflow=overflow, frames_waiting_max=frames_waiting_max
        )

    async def act(
        self,
        action: Mapping[str, Any],
        *,
        vault: str | None = None,
        expires_after: int | None = None,
    ) -> Any:
        """Sign an L1 action and send it; return the ``response`` of the answer.

        The action's keys must be in canonical order and its texts in canonical form.

        Raises:
            ActionRefusedError: it was refused as a whole.
            RequestRefusedError: the exchange does not understand it.
            ConnectionLostError: the connection broke meanwhile; the action may have happened.
        """
        nonce = self.take_nonce()
        signature = sign_l1_action(
            self._signing_key(),
            action,
            nonce,
            vault=vault,
            expires_after=expires_after,
            chain=self.chain,
        )
        return await self._submit(action, nonce, signature, vault, expires_after)

    async def act_as_user(self, action: Mapping[str, Any], nonce_field: str) -> Any:
        """Sign a transfer or approval; ``nonce_field`` is what the action calls its nonce.

        Raises:
            ActionRefusedError, RequestRefusedError, ConnectionLostError: as of ``act``.
        """
        nonce = self.take_nonce()
        complete, signature = sign_user_action(
            self._signing_key(), {**action, nonce_field: nonce}, chain=self.chain
        )
        return await self._submit(complete, nonce, signature, None, None)

    async def place(self, orders: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Place orders (see ``client_orders``); return one status each, errors included."""
        return _statuses(await self.act({"type": "order", "orders": orders, "grouping": "na"}))

    async def cancel(self, cancels: Sequence[tuple[int, int]]) -> list[Any]:
        """Cancel orders given as (asset, order id); return one status each."""
        entries = [{"a": asset, "o": oid} for asset, oid in cancels]
        return _statuses(await self.act({"type": "cancel", "cancels": entries}))

    async def cancel_by_cloid(self, cancels: Sequence[tuple[int, str]]) -> list[Any]:
        """Cancel orders given as (asset, client order id); return one status each."""
        entries = [{"asset": asset, "cloid": cloid} for asset, cloid in cancels]
        return _statuses(await self.act({"type": "cancelByCloid", "cancels": entries}))

    async def modify(self, modifies: Sequence[tuple[int | str, Mapping[str, Any]]]) -> list[Any]:
        """Replace orders, given by their id of either kind; return one status each."""
        entries = [{"oid": oid, "order": order} for oid, order in modifies]
        return _statuses(await self.act({"type": "batchModify", "modifies": entries}))

    async def update_leverage(self, asset: int, leverage: int) -> None:
        """Choose the account's cross leverage in one market."""
        await self.act(
            {"type": "updateLeverage", "asset": asset, "isCross": True, "leverage": leverage}
        )

    async def noop(self) -> None:
        """Use up a nonce."""
        await self.act({"type": "noop"})

    async def approve_agent(self, agent: str, name: str = "") -> None:
        """Let another address sign for this account."""
        action = {"type": "approveAgent", "agentAddress": agent, "agentName": name}
        await self.act_as_user(action, "nonce")

    async def send_usd(self, destination: str, amount: str) -> None:
        """Send USD, as a decimal text, to another account."""
        action = {"type": "usdSend", "destination": destination, "amount": amount}
        await self.act_as_user(action, "time")

    def take_nonce(self) -> int:
        """Return the time as a nonce, or if that was used, the one after the last."""
        self._nonce = max(self.clock_ms(), self._nonce + 1)
        return self._nonce

    def _signing_key(self) -> SigningKey:
        if self.key is None:
            raise ClientError("this client was opened without a key")
        return self.key

    async def _submit(
        self,
        action: Mapping[str, Any],
        nonce: int,
        signature: Signature,
        vault: str | None,
        expires_after: int | None,
    ) -> Any:
        request = {"action": action, "nonce": nonce, "signature": signature.to_wire()}
        if vault is not None:
            request["vaultAddress"] = vault
        if expires_after is not None:
            request["expiresAfter"] = expires_after
        answer = await self.link.post("action", request)
        if answer["status"] != "ok":
            raise ActionRefusedError(answer["response"])
        return answer["response"]


def _statuses(response: Mapping[str, Any]) -> list[Any]:
    statuses: list[Any] = response["data"]["statuses"]
    return statuses
