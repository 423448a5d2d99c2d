"""The universe: all markets and tokens by their numbers and names.

Entries are never reordered or removed, so a universe only grows. It is kept by reference wherever
instruments are looked up, and those that hold it see what is listed later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from model.ids import SPOT_ASSETS_FROM, AssetId, TokenId
from model.instruments import USDC_TOKEN, Instrument, Token


class Universe:
    """Perpetuals, spot pairs and tokens.

    ``perps`` are indexed by asset id, ``pairs`` by asset id beyond SPOT_ASSETS_FROM, ``tokens`` by
    token id, ``by_name`` has the markets of both kinds. Iterating gives perpetuals, then pairs.
    """

    __slots__ = ("by_name", "pairs", "perps", "tokens")

    def __init__(
        self, instruments: Iterable[Instrument] = (), tokens: Iterable[Token] = (USDC_TOKEN,)
    ) -> None:
        self.perps: list[Instrument] = []
        self.pairs: list[Instrument] = []
        self.tokens: list[Token] = list(tokens)
        self.by_name: dict[str, Instrument] = {}
        for instrument in instruments:
            self.list(instrument)

    def list(self, instrument: Instrument) -> None:
        """Add a market, whose asset id must be the next of its kind.

        Raises:
            ValueError: it is not.
        """
        if instrument.asset != self.next_asset(is_spot=instrument.is_spot):
            raise ValueError(f"{instrument.name}: asset id {instrument.asset} is not the next one")
        (self.pairs if instrument.is_spot else self.perps).append(instrument)
        self.by_name[instrument.name] = instrument

    def next_asset(self, *, is_spot: bool) -> AssetId:
        """Return the asset id of the market that is listed next."""
        return AssetId(SPOT_ASSETS_FROM + len(self.pairs) if is_spot else len(self.perps))

    def clear(self) -> None:
        """Forget everything but USDC."""
        self.perps.clear()
        self.pairs.clear()
        self.by_name.clear()
        self.tokens[:] = [USDC_TOKEN]

    def get(self, asset: AssetId) -> Instrument | None:
        """Return a market, or ``None`` if there is none of that id."""
        kind, index = self.perps, asset
        if asset >= SPOT_ASSETS_FROM:
            kind, index = self.pairs, AssetId(asset - SPOT_ASSETS_FROM)
        return kind[index] if 0 <= index < len(kind) else None

    def token(self, token: TokenId) -> Token | None:
        """Return a token, or ``None`` if there is none of that id."""
        return self.tokens[token] if 0 <= token < len(self.tokens) else None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Universe):
            return NotImplemented
        return (self.perps, self.pairs, self.tokens) == (other.perps, other.pairs, other.tokens)

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __getitem__(self, asset: AssetId) -> Instrument:
        instrument = self.get(asset)
        if instrument is None:
            raise IndexError(asset)
        return instrument

    def __contains__(self, asset: AssetId) -> bool:
        return self.get(asset) is not None

    def __len__(self) -> int:
        return len(self.perps) + len(self.pairs)

    def __iter__(self) -> Iterator[Instrument]:
        yield from self.perps
        yield from self.pairs
