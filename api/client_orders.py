"""Orders as clients sign and send them."""

from __future__ import annotations

from typing import Any

from model.units import canonical_decimal


def limit_order(
    asset: int,
    *,
    is_buy: bool,
    price: str,
    size: str,
    tif: str = "Gtc",
    reduce_only: bool = False,
    cloid: str | None = None,
) -> dict[str, Any]:
    """Return an order: keys in canonical order, price and size as canonical decimal texts.

    ``tif`` is ``Gtc``, ``Ioc``, ``Alo`` or ``FrontendMarket``.

    Raises:
        MalformedDecimalError: price or size is not a decimal.
    """
    order: dict[str, Any] = {
        "a": asset,
        "b": is_buy,
        "p": canonical_decimal(price),
        "s": canonical_decimal(size),
        "r": reduce_only,
        "t": {"limit": {"tif": tif}},
    }
    return order if cloid is None else {**order, "c": cloid.lower()}
