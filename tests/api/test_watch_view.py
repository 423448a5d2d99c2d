"""The picture of `zaraba watch`, without terminal or exchange."""

from __future__ import annotations

import re
from typing import Any

import pytest

from api.watch_view import (
    COLOURED,
    COLOURLESS,
    TRADES_KEPT_MAX,
    MarketPicture,
    aligned,
    describe_book,
    describe_trade,
    grouped,
    render,
)

CONTEXT = {
    "markPx": "65012.0",
    "oraclePx": "65010.0",
    "prevDayPx": "64740.0",
    "dayNtlVlm": "1234567.89",
    "openInterest": "310.5",
}


def book(bids: int = 20, asks: int = 20) -> dict[str, Any]:
    return {
        "time": 1_700_000_000_000,
        "levels": [
            [{"px": f"{65009 - n}.0", "sz": f"0.{n + 1:02d}", "n": 1} for n in range(bids)],
            [{"px": f"{65015 + n}.0", "sz": f"{n + 1}.5", "n": 1} for n in range(asks)],
        ],
    }


def trade(tid: int, side: str = "B") -> dict[str, Any]:
    return {
        "time": 1_700_000_000_000 + tid,
        "tid": tid,
        "side": side,
        "px": "65013.0",
        "sz": "0.01",
    }


@pytest.fixture
def picture() -> MarketPicture:
    picture = MarketPicture("BTC", "http://127.0.0.1:8000", is_live=True)
    picture.hear("l2Book", book())
    picture.hear("trades", [trade(1), trade(2, "A")])
    picture.hear("activeAssetCtx", {"ctx": CONTEXT})
    return picture


def draw(picture: MarketPicture, columns: int = 100, rows: int = 30, **options: Any) -> list[str]:
    options.setdefault("time_of_day", lambda ms: f"12:00:{ms % 100:02d}")
    return render(picture, columns=columns, rows=rows, **options)


def without_colours(lines: list[str]) -> list[str]:
    return [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]


def test_the_header_tells_mark_oracle_day_and_state(picture: MarketPicture) -> None:
    """What a newcomer wants to know first is on top."""
    first, second, *_ = draw(picture)

    assert first.startswith("BTC   http://127.0.0.1:8000")
    assert first.endswith(" live")
    assert second == (
        "mark 65,012   oracle 65,010   24h +0.42%   volume 1.23M USD   open interest 310.5"
    )


def test_a_pair_has_neither_oracle_nor_open_interest(picture: MarketPicture) -> None:
    """What its context does not tell is not there."""
    for key in ("oraclePx", "openInterest"):
        picture.context = {name: text for name, text in picture.context.items() if name != key}

    assert draw(picture)[1] == "mark 65,012   24h +0.42%   volume 1.23M USD"


def test_a_fact_that_does_not_fit_is_left_out(picture: MarketPicture) -> None:
    """Half a number would be a wrong one."""
    assert draw(picture, columns=70)[1].endswith("volume 1.23M USD")


def test_asks_stand_above_the_spread_above_the_bids(picture: MarketPicture) -> None:
    """The best prices meet in the middle, as on any ladder."""
    lines = draw(picture, levels=2)
    ladder = [line[:57].split() for line in lines[4:9]]

    assert [row[0] for row in ladder] == ["65,016", "65,015", "──", "65,009", "65,008"]
    assert ladder[2][1:5] == ["spread", "6", "(0.9", "bp)"]


def test_sizes_are_summed_from_the_best_price_outwards(picture: MarketPicture) -> None:
    """The total says what a market order of that depth would get."""
    lines = draw(picture, levels=3)
    asks = [line[:30].split()[1:3] for line in lines[4:7]]

    assert asks == [["3.50", "7.50"], ["2.50", "4.00"], ["1.50", "1.50"]]


def test_bars_are_as_long_as_sizes_are_large(picture: MarketPicture) -> None:
    """The largest level shown fills its column; any size above zero shows."""
    lines = draw(picture, levels=3)
    bars = [line[:54].count("█") for line in lines[4:7]]

    assert bars == sorted(bars, reverse=True)
    assert bars[0] == 24
    assert re.search("[▏▎▍▌▋▊▉]", lines[8])


def test_the_newest_trade_is_on_top_with_its_side(picture: MarketPicture) -> None:
    """Sides are words, so that they can be read without colours."""
    lines = draw(picture)

    assert lines[4][57:].split() == ["12:00:02", "sell", "65,013", "0.01"]
    assert lines[5][57:].split() == ["12:00:01", "buy", "65,013", "0.01"]


@pytest.mark.parametrize("columns", [20, 40, 60, 78, 79, 100, 200])
@pytest.mark.parametrize("rows", [1, 3, 8, 24, 60])
@pytest.mark.parametrize("palette", [COLOURED, COLOURLESS], ids=["coloured", "colourless"])
def test_a_picture_never_exceeds_its_terminal(
    picture: MarketPicture, columns: int, rows: int, palette: Any
) -> None:
    """Rows always fit; columns do from the width of three numbers on."""
    lines = without_colours(draw(picture, columns=columns, rows=rows, palette=palette))

    assert len(lines) <= rows
    assert max(len(line) for line in lines) <= max(columns, 30)
    assert "\n" not in "".join(lines)


def test_a_narrow_terminal_shows_the_ladder_alone(picture: MarketPicture) -> None:
    """There is no half list of trades."""
    assert not any("sell" in line for line in draw(picture, columns=60))


def test_colours_change_nothing_but_colours(picture: MarketPicture) -> None:
    """With NO_COLOR the same is to be read."""
    assert without_colours(draw(picture, palette=COLOURED)) == draw(picture, palette=COLOURLESS)


def test_a_level_that_changed_is_bold(picture: MarketPicture) -> None:
    """The eye finds what moved."""
    after = book()
    after["levels"][0][0]["sz"] = "9.0"
    picture.hear("l2Book", after)
    bold = [line for line in draw(picture, palette=COLOURED)[4:] if "\x1b[1m" in line]

    assert len(bold) == 1
    assert "65,009" in bold[0]


def test_an_exchange_that_is_away_is_told_and_the_picture_dimmed(picture: MarketPicture) -> None:
    """Nobody takes an old book for a live one."""
    picture.is_live, picture.trouble = False, "away: connection refused"
    lines = draw(picture, palette=COLOURED)

    assert "away: connection refused" in lines[0]
    assert COLOURED.bid not in "".join(line[: line.find("12:")] for line in lines[4:])


def test_before_anything_was_heard_there_is_a_picture_too() -> None:
    """The first thing to be seen is why there is nothing to see."""
    lines = draw(MarketPicture("BTC", "http://127.0.0.1:1"))

    assert lines[0].endswith(" connecting")
    assert any("no book yet" in line for line in lines)


@pytest.mark.parametrize(
    ("bids", "asks", "words"), [(0, 0, "empty"), (3, 0, "one side is empty"), (0, 3, "one side")]
)
def test_an_empty_side_is_told(picture: MarketPicture, bids: int, asks: int, words: str) -> None:
    """A quiet exchange has such books."""
    picture.hear("l2Book", book(bids, asks))

    assert any(words in line for line in draw(picture))


def test_the_rows_do_not_jump_when_levels_come_and_go(picture: MarketPicture) -> None:
    """The spread stays on its row."""

    def spread_row() -> int:
        return next(row for row, line in enumerate(draw(picture)) if line.startswith("──"))

    before = spread_row()
    picture.hear("l2Book", book(3, 5))

    assert spread_row() == before


def test_trades_are_bounded_and_start_anew_after_a_reconnection(picture: MarketPicture) -> None:
    """The snapshot that follows would otherwise repeat them."""
    picture.hear("trades", [trade(n) for n in range(10, 500)])
    assert len(picture.trades) == TRADES_KEPT_MAX
    picture.forget_trades()
    picture.hear("trades", [trade(9), trade(7), trade(8)])

    assert [one.tid for one in picture.trades] == [9, 8, 7]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["65000.0", "999.0"], ["65,000", "999"]),
        (["18.4", "18.405"], ["18.400", "18.405"]),
        (["0.5", "1234567.25"], ["0.50", "1,234,567.25"]),
        ([], []),
    ],
)
def test_numbers_of_a_column_have_equal_decimals(texts: list[str], expected: list[str]) -> None:
    """Digits of one value stand under each other."""
    assert aligned(texts) == expected


def test_a_single_number_has_no_needless_zeros() -> None:
    """The header is prose."""
    assert grouped("65000.0") == "65,000"
    assert grouped("-1234.50") == "-1,234.5"


def test_lines_of_text_tell_the_same(picture: MarketPicture) -> None:
    """For pipes and logs."""
    assert describe_book(picture) == "book   0.01 @ 65009.0 | 65015.0 @ 1.5"
    assert describe_trade(picture.trades[0]) == "sell   0.01 @ 65013.0"
