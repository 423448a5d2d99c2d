"""The HTTP and WebSocket routes: what comes in, where it goes, and how errors look on the wire.

Source of the statuses and error bodies: the behaviour of Hyperliquid's API as its clients expect
it. A body of a 4xx is plain text, since clients try to read JSON errors in a form of their own.
"""

from __future__ import annotations

import time
from typing import Final

from quart import Response, request, websocket
from quart_trio import QuartTrio
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException

from api.exchange.errors import MalformedBodyError
from api.limits import LimitedError, NetworkLimits
from api.outlets import open_outlet
from api.server_objects import ServerSockets
from api.stream import Stream
from api.subscriptions import MESSAGE_BYTES_MAX
from api.surface import Answering, Entering, Surface

BODY_BYTES_MAX: Final = MESSAGE_BYTES_MAX
BODY_SECONDS_MAX: Final = 10.0
"""How long a client may take to send its body."""

JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"
CORS: Final = (
    ("access-control-allow-origin", "*"),
    ("access-control-expose-headers", "*"),
    (
        "vary",
        "origin, access-control-request-method, access-control-request-headers",
    ),
)
PREFLIGHT: Final = (
    ("access-control-allow-methods", "GET, POST, OPTIONS"),
    ("access-control-allow-headers", "*"),
    ("access-control-max-age", "86400"),
)
_INFO: Final = {"http.request.method": "POST", "http.route": "/info"}
_EXCHANGE: Final = {"http.request.method": "POST", "http.route": "/exchange"}
ROUTES: Final = frozenset(("/info", "/exchange", "/health/live", "/health/ready", "/metrics", "/"))


def create_app(
    gateway: Surface, entry: Entering, info: Answering, limits: NetworkLimits
) -> QuartTrio:
    """Make the application that serves a gateway."""
    app = QuartTrio("zaraba", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES_MAX
    app.config["BODY_TIMEOUT"] = BODY_SECONDS_MAX
    _add_api(app, gateway, entry, info, limits)
    _add_operations(app, gateway)
    _add_edges(app, gateway)
    sockets = ServerSockets(app.asgi_app, gateway.connections)
    app.asgi_app = sockets  # type: ignore[method-assign]  # Quart's way to wrap
    return app


def _add_api(
    app: QuartTrio, gateway: Surface, entry: Entering, info: Answering, limits: NetworkLimits
) -> None:
    telemetry = gateway.telemetry

    @app.post("/info")
    async def answer_info() -> Response:
        _require_json()
        body, peer = await _body(), request.remote_addr or ""
        limits.ask(peer, body)
        with telemetry.request("POST /info", request.headers.get("traceparent"), _INFO):
            answer = await info.answer(body)
        limits.answered(peer, body, answer)
        return Response(answer, mimetype=JSON)

    @app.post("/exchange")
    async def enter_action() -> Response:
        _require_json()
        body = await _body()
        limits.act(request.remote_addr or "", body)
        with telemetry.request("POST /exchange", request.headers.get("traceparent"), _EXCHANGE):
            answer = await entry.enter(body)
        return Response(answer, mimetype=JSON)

    connections = gateway.connections

    @app.websocket("/ws")
    async def stream() -> None:
        socket = websocket._get_current_object()  # type: ignore[attr-defined]  # werkzeug's proxy
        with limits.connection(websocket.remote_addr or "") as may_speak:
            async with open_outlet(socket, connections, gateway.counts) as outlet:
                stream = Stream(gateway, entry, info, outlet, may_speak)
                stream.traceparent = socket.headers.get("traceparent")
                await stream.run(socket.receive)


def _add_operations(app: QuartTrio, gateway: Surface) -> None:
    @app.get("/")
    async def greet() -> Response:  # noqa: ASYNC124
        return _text(
            "Zaraba: POST /info, POST /exchange, GET /ws (Hyperliquid's API); "
            "GET /health/live, /health/ready, /metrics\n"
        )

    @app.get("/health/live")
    async def live() -> Response:  # noqa: ASYNC124
        return _text("live\n")

    @app.get("/health/ready")
    async def ready() -> Response:  # noqa: ASYNC124
        why_not = gateway.why_not_ready()
        return _text(f"not ready: {why_not}\n", 503) if why_not else _text("ready\n")

    @app.get("/metrics")
    async def metrics() -> Response:
        made = await gateway.telemetry.expose(request.headers.get("accept"))
        return Response(made.body, content_type=made.content_type)


def _add_edges(app: QuartTrio, gateway: Surface) -> None:
    """Add what applies to every route: CORS, error bodies, and the clock."""

    @app.before_request
    async def start_clock() -> Response | None:  # noqa: ASYNC124
        request.started_at = time.perf_counter()  # type: ignore[attr-defined]  # ours
        if request.method == "OPTIONS":
            return Response("", headers=Headers(PREFLIGHT))
        return None

    @app.after_request
    async def finish(response: Response) -> Response:  # noqa: ASYNC124
        response.headers.extend(CORS)
        route = request.path if request.path in ROUTES else "other"
        seconds = time.perf_counter() - getattr(request, "started_at", time.perf_counter())
        gateway.telemetry.answered(route, response.status_code, seconds)
        return response

    @app.errorhandler(MalformedBodyError)
    async def malformed(error: MalformedBodyError) -> Response:  # noqa: ASYNC124
        return _text(error.text, error.status)

    @app.errorhandler(LimitedError)
    async def limited(_error: LimitedError) -> Response:  # noqa: ASYNC124
        gateway.telemetry.input_refused("http", "429")
        return Response("null", status=429, mimetype=JSON)

    @app.errorhandler(HTTPException)
    async def refused(error: HTTPException) -> Response:  # noqa: ASYNC124
        status = error.code or 500
        gateway.telemetry.input_refused("http", str(status))
        return _text(f"{error.name}\n", status)

    @app.errorhandler(Exception)
    async def broken(error: Exception) -> Response:  # noqa: ASYNC124
        app.logger.error("request failed", exc_info=error)
        return Response("null", status=500, mimetype=JSON)


def _require_json() -> None:
    if request.mimetype != JSON:
        raise MalformedBodyError(415, "Expected request with `Content-Type: application/json`")


async def _body() -> bytes:
    body = await request.get_data(cache=False, as_text=False)
    assert isinstance(body, bytes)
    return body


def _text(text: str, status: int = 200) -> Response:
    return Response(text, status=status, content_type=TEXT)
