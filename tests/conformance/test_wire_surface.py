"""Every question, action and channel that clients know is asked by its bare type.

What is answered has exactly the form that clients rely on, in an account in which something has
happened. What is not offered is refused in the way that clients understand.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from attrs import frozen
from hyperliquid.utils.signing import get_timestamp_ms, sign_l1_action

from tests.conformance.record import CHANNEL, INFO, Recorder
from tests.conformance.shapes import ANSWERS, FRAMES, misfits
from tests.conformance.surface import ACTIONS, CHANNELS, OUT_OF_SCOPE, QUESTIONS, request_of
from tests.conformance.wallets import IOC, Wallet
from tests.program.clients import open_wire
from tests.program.harness import Program, spare_name

pytestmark = pytest.mark.program

Open = Callable[..., Wallet]

WIRE: Final = "HTTP and WebSocket"
COIN: Final = spare_name(0)
QUIET_SECONDS: Final = 0.1
UNPROCESSABLE: Final = 422
SILENT: Final = frozenset(("orderUpdates", "userEvents", "notification"))
"""Channels that begin with nothing: they tell of what happens from then on."""


@frozen
class Town:
    """A market in which something has happened, and somebody to whom it happened."""

    program: Program
    maker: Wallet
    taker: Wallet

    def happen(self) -> None:
        """Let the taker buy from the maker, and leave one order and cancel another."""
        self.maker.rest(COIN, -0.5, 2010)
        self.taker.place(COIN, 0.5, 2010, IOC)
        self.taker.rest(COIN, 0.5, 1990)
        self.taker.exchange.cancel(COIN, self.taker.rest(COIN, 0.5, 1980))


@pytest.fixture(scope="module")
def town(exchange: Program) -> Iterator[Town]:
    """A market with a past."""
    notes = Recorder()  # who prepares the ground shows nothing
    maker, taker = (Wallet.open(exchange, 10_000, recorder=notes) for _ in range(2))
    town = Town(exchange, maker, taker)
    town.happen()
    taker.exchange.usd_transfer(5, maker.address)
    taker.exchange.approve_agent("bot")
    yield town
    maker.close()
    taker.close()


# ---- questions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", QUESTIONS[1] + QUESTIONS[2])
def test_question(town: Town, recorder: Recorder, kind: str) -> None:
    """A question has an answer of its form; of the second tier some are refused."""
    question = request_of(kind, town.taker.address, COIN)

    answer = town.program.post("/info", json.dumps(question).encode())

    recorder.note_wire(WIRE, (INFO, kind), refused=answer.status == UNPROCESSABLE)
    if answer.status == UNPROCESSABLE and kind in QUESTIONS[2]:
        assert answer.text.startswith("Failed to deserialize the JSON body")
        return
    assert answer.status == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert misfits(answer.json(), ANSWERS[kind]) == []


@pytest.mark.parametrize("kind", QUESTIONS[OUT_OF_SCOPE])
def test_question_out_of_scope(town: Town, recorder: Recorder, kind: str) -> None:
    """A question about what this exchange is not is refused as one that nobody knows."""
    question = {"user": town.taker.address, "type": kind}

    answer = town.program.post("/info", json.dumps(question).encode())

    recorder.note_wire(WIRE, (INFO, kind), refused=answer.status == UNPROCESSABLE)
    assert answer.status == UNPROCESSABLE
    assert answer.text.startswith("Failed to deserialize the JSON body")


# ---- channels ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CHANNELS[1] + CHANNELS[2])
async def test_channel(town: Town, recorder: Recorder, kind: str) -> None:
    """A channel's frames have its form, the first one and those of what happens then."""
    wanted = request_of(kind, town.taker.address, COIN)
    async with open_wire(town.program.ws_url) as wire:
        await wire.send({"method": "subscribe", "subscription": wanted})
        answer = await wire.receive()
        refused = answer["channel"] == "error"
        recorder.note_wire(WIRE, (CHANNEL, kind), refused=refused)
        if refused and kind in CHANNELS[2]:
            assert answer["data"].startswith("Error parsing JSON into valid websocket request")
            return
        assert answer["channel"] == "subscriptionResponse", answer
        assert (
            wanted.items() - {("user", town.taker.address)}
            <= answer["data"]["subscription"].items()
        )

        channel = "user" if kind == "userEvents" else kind
        if kind not in SILENT:
            assert misfits(await wire.until(channel), FRAMES[kind]) == []
        town.happen()
        if kind in {"orderUpdates", "userEvents", "userFills", "trades"}:
            assert misfits(await wire.until(channel), FRAMES[kind]) == []
        for frame in await wire.drain(QUIET_SECONDS):
            if frame["channel"] == channel:
                assert misfits(frame["data"], FRAMES[kind]) == []


@pytest.mark.parametrize("kind", CHANNELS[OUT_OF_SCOPE])
async def test_channel_out_of_scope(town: Town, recorder: Recorder, kind: str) -> None:
    """A channel that is not offered is refused with the request in the text."""
    async with open_wire(town.program.ws_url) as wire:
        request = {"method": "subscribe", "subscription": {"type": kind}}
        await wire.send(request)
        answer = await wire.receive()

    recorder.note_wire(WIRE, (CHANNEL, kind), refused=answer["channel"] == "error")
    assert answer["channel"] == "error"
    assert json.loads(answer["data"].partition(": ")[2]) == request


# ---- actions -----------------------------------------------------------------------------------


def send(wallet: Wallet, action: dict[str, Any], recorder: Recorder) -> Any:
    """Send an action that the SDK has no method for, signed as it signs; return the answer."""
    nonce = get_timestamp_ms()
    if "nonce" in action:
        action = {**action, "nonce": nonce}
    signature = sign_l1_action(wallet.account, action, None, nonce, None, False)
    body = {"action": action, "nonce": nonce, "signature": signature}
    answer = wallet.program.post("/exchange", json.dumps(body).encode())
    recorder.note_exchange(WIRE, body, answer.status, answer.text)
    return answer.json() if answer.status == 200 else answer.text


@pytest.mark.parametrize("kind", ACTIONS[OUT_OF_SCOPE])
def test_action_out_of_scope(open_wallet: Open, recorder: Recorder, kind: str) -> None:
    """An action about what this exchange is not is refused by its name."""
    answer = send(open_wallet(0), {"type": kind}, recorder)

    assert answer == {
        "status": "err",
        "response": f"Action {kind} is not offered on this exchange.",
    }


def test_an_action_that_nobody_knows(open_wallet: Open) -> None:
    """It gets the text that clients know, with status 422."""
    answer = send(open_wallet(0), {"type": "noSuchAction"}, Recorder())

    assert answer.startswith("Failed to deserialize the JSON body")


def test_modify(open_wallet: Open, recorder: Recorder) -> None:
    """The action of one modification, which the TypeScript SDK sends, gives a new order."""
    wallet = open_wallet()
    oid = wallet.rest(COIN, 0.5, 1900)
    order: dict[str, Any] = {"a": wallet.info.name_to_asset(COIN), "b": True, "p": "1890"}
    order |= {"s": "0.5", "r": False, "t": {"limit": {"tif": "Gtc"}}}

    answer = send(wallet, {"type": "modify", "oid": oid, "order": order}, recorder)

    assert answer == {"status": "ok", "response": {"type": "default"}}
    (left,) = wallet.info.open_orders(wallet.address)
    assert left["oid"] != oid
    assert left["limitPx"] == "1890.0"


SOMEBODY: Final = "0x" + "ab" * 20


SECOND_TIER: Final[dict[str, dict[str, Any]]] = {
    "topUpIsolatedOnlyMargin": {"asset": 0, "leverage": "5"},
    "subAccountModify": {"subAccountUser": SOMEBODY, "name": "desk"},
    "agentSetAbstraction": {"abstraction": "u"},
    "agentEnableDexAbstraction": {},
    "registerReferrer": {"code": "ZARABA"},
    "setDisplayName": {"displayName": "Trader"},
    "spotUser": {"toggleSpotDusting": {"optOut": True}},
    "agentSendAsset": {
        "destination": SOMEBODY,
        "sourceDex": "",
        "destinationDex": "spot",
        "token": "USDC:0x6d1e7cde53ba9467b783cb7c530ce054",
        "amount": "1",
        "fromSubAccount": "",
        "nonce": 0,
    },
}


@pytest.mark.parametrize("kind", SECOND_TIER)
def test_action_of_the_second_tier(open_wallet: Open, recorder: Recorder, kind: str) -> None:
    """What the clients' usual calls do not send is understood, or refused by its name."""
    answer = send(open_wallet(100), {"type": kind, **SECOND_TIER[kind]}, recorder)

    assert answer["status"] in {"ok", "err"}
    assert "does not exist" not in str(answer["response"])  # the signer was found
