"""Questions: what is refused, and that what is answered is not older than what was told."""

from pathlib import Path

import pytest
import trio

from api.exchange.errors import MalformedBodyError
from api.info import ANSWERS
from tests.api.gateways import info, key, open_gateway

USER = '"user":"0x' + "ab" * 20 + '"'


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"\xff", 400),
        (b"{", 400),
        (b"[" * 100_000, 413),
        (b"[]", 422),
        (b"null", 422),
        (b"{}", 422),
        (b'{"type":7}', 422),
        (b'{"type":"fly"}', 422),
        (b'{"type":"clearinghouseState"}', 422),
        (b'{"type":"clearinghouseState","user":"0x12"}', 422),
        (b'{"type":"openOrders","user":null}', 422),
        (b'{"type":"l2Book"}', 422),
        (b'{"type":"l2Book","coin":"BTC","nSigFigs":"5"}', 422),
        (b'{"type":"candleSnapshot","req":{"coin":"BTC","interval":"2m","startTime":0}}', 422),
        (b'{"type":"candleSnapshot","req":{"coin":"BTC","interval":"1m","startTime":-1}}', 422),
        (b'{"type":"candleSnapshot","req":{"coin":"BTC","interval":"1m","startTime":1e400}}', 422),
        (b'{"type":"orderStatus",%b,"oid":"0x12"}' % USER.encode(), 422),
        (b'{"type":"orderStatus",%b,"oid":-1}' % USER.encode(), 422),
        (b'{"type":"userFills",%b,"aggregateByTime":1}' % USER.encode(), 422),
        (b'{"type":"spotClearinghouseState"}', 422),
        (b'{"type":"meta","filler":"%b"}' % (b"x" * 70_000), 413),
    ],
)
async def test_what_is_no_question_is_refused(tmp_path: Path, body: bytes, status: int) -> None:
    """With the status and the first words that clients know."""
    async with open_gateway(tmp_path) as program:
        with pytest.raises(MalformedBodyError) as caught:
            await program.info.answer(body)

    assert caught.value.status == status
    assert caught.value.text.startswith(("Failed to ", "Request bodies may have at most "))


async def test_strangers_are_answered_with_nothing(tmp_path: Path) -> None:
    """Every question about a user has an empty answer, and costs no actor."""
    async with open_gateway(tmp_path) as program:
        user = key(9).address
        for kind in ANSWERS:
            if kind in ("meta", "allPerpMetas", "metaAndAssetCtxs", "allMids", "exchangeStatus"):
                continue
            span = {"startTime": 0, "req": {"coin": "BTC", "interval": "1m", "startTime": 0}}
            more = {"tokenId": "0x1", "id": 40, "source": user}
            await info(program, kind, user=user, coin="BTC", oid=1, **span, **more)

        assert len(program.gateway.accounts) == 0


async def test_unknown_coins_are_null(tmp_path: Path) -> None:
    """As Hyperliquid's API answers them."""
    async with open_gateway(tmp_path) as program:
        assert await info(program, "l2Book", coin="NOPE") is None
        assert await info(program, "recentTrades", coin="NOPE") is None


async def test_a_view_that_does_not_answer_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question ends with 503 before its client gives up."""
    async with open_gateway(tmp_path) as program:

        async def sleep(*_: object, **__: object) -> None:
            await trio.sleep(3600)

        monkeypatch.setattr(type(program.gateway), "read_market", sleep)
        monkeypatch.setattr("api.info.answering.ANSWER_SECONDS_MAX", 0.05)
        with pytest.raises(MalformedBodyError) as caught:
            await info(program, "l2Book", coin="BTC")

    assert caught.value.status == 503
