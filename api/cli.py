"""The command line: ``zaraba serve``, and what is done to and about the exchange it runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import trio

from actors.trace_settings import TraceSettings
from api.settings import (
    DEFAULT_BIND,
    DEFAULT_DATA,
    DEFAULT_FAUCET_USD,
    DEMO_SEED,
    FAUCET_CREDITS_MAX,
    Settings,
    SettingsError,
    read_bind,
    read_faucet,
    read_rate,
)

EXIT_USAGE: Final = 2
TRACES: Final = ("order", "cancel", "subscribe", "restart", "liquidation", "heal")
EXIT_REFUSED: Final = 1

EPILOG: Final = """\
examples:
  zaraba serve --demo                      a living exchange on http://127.0.0.1:8000
  zaraba watch BTC                         its order book and trades in this terminal
  zaraba tree --watch                      every part of the running exchange, and how busy it is
  zaraba serve --faucet 10000 --data lab   a quiet exchange that credits newcomers
  zaraba fund 0xYourAddress 50000 --data lab
  zaraba oracle BTC 39000 --data lab       rehearse a crash
  zaraba markets add more.toml --data lab  open further markets
  zaraba verify lab                        replay the journal and compare every block
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the process's exit status."""
    options = _parser().parse_args(arguments)
    _configure_logging(options)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except SettingsError as error:
        return _complain(str(error), EXIT_USAGE)
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="zaraba",
        description="A whole exchange on your machine, with the API of an on-chain order book.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_serve(commands)
    _add_watch(commands)
    _add_tree(commands)
    _add_operator(commands)
    _add_markets(commands)
    _add_verify(commands)
    _add_inspect(commands)
    _add_generate(commands)
    _add_trace(commands)
    _add_bench(commands)
    _add_profile(commands)
    return parser


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _add_serve(commands: Commands) -> None:
    serve = commands.add_parser(
        "serve",
        help="run the exchange",
        description="Run the exchange until Ctrl-C."
        " Its journal, snapshots and admin socket are in the data directory.",
    )
    serve.add_argument(
        "--bind",
        default=DEFAULT_BIND,
        metavar="HOST:PORT",
        help="where to listen (%(default)s; port 0 takes a free one)",
    )
    _add_data(serve)
    serve.add_argument(
        "--demo",
        action="store_true",
        help="let the oracle wander and bots trade, with the faucet on",
    )
    serve.add_argument(
        "--faucet",
        metavar="USD",
        help="credit every new address with this before its first well-signed action"
        f" (with --demo {DEFAULT_FAUCET_USD}; 0 turns it off)",
    )
    serve.add_argument(
        "--faucet-max",
        type=int,
        default=FAUCET_CREDITS_MAX,
        metavar="N",
        help="addresses that the faucet credits at most (%(default)s)",
    )
    serve.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="markets and fees of a new exchange (TOML; six markets built in)",
    )
    serve.add_argument(
        "--traces",
        type=Path,
        metavar="FILE",
        help="append spans of what is traced",
    )
    serve.add_argument("--trace-console", action="store_true", help="write them to standard error")
    serve.add_argument("--otlp", metavar="URL", help="send them to a collector, by OTLP over HTTP")
    serve.add_argument(
        "--trace-rate",
        default="0",
        metavar="PART",
        help="of requests that are traced without a sampled traceparent, from 0 to 1 (%(default)s)",
    )
    serve.add_argument(
        "--seed", type=int, default=DEMO_SEED, help="of the demo's prices and bots (%(default)s)"
    )
    serve.add_argument(
        "--node-logs", type=Path, metavar="DIR", help="write the files that a real node would write"
    )
    _add_source(serve)
    serve.add_argument(
        "--log-format",
        choices=("console", "json"),
        help="how log lines look (console on a terminal, else json)",
    )
    serve.add_argument("-v", "--verbose", action="store_true", help="log more")
    serve.set_defaults(command=_serve)


def _add_source(serve: argparse.ArgumentParser) -> None:
    node = serve.add_argument_group("beside a real node, in place of an exchange of its own")
    node.add_argument(
        "--source", metavar="node:PATH", help="the node's data root, which is followed"
    )
    snapshot = node.add_mutually_exclusive_group()
    snapshot.add_argument(
        "--snapshot",
        type=Path,
        metavar="FILE",
        help="L4 snapshot to begin with; heals when renewed",
    )
    snapshot.add_argument(
        "--node-info", metavar="URL", help="of the node's info server, which is asked for snapshots"
    )
    node.add_argument("--upstream", metavar="URL", help="where signed actions are handed on")
    node.add_argument(
        "--form", choices=("block", "streaming"), help="how the files are written (found out)"
    )


def _serve_node(options: argparse.Namespace) -> int:
    from api.inspect import node_root
    from api.node.program import NodeSettings
    from api.node.serve import run_node
    from model.node.lines import Form

    root = node_root(options.source)
    if root is None:
        raise SettingsError(f"not a source: {options.source!r} (expected node:PATH)")
    if options.snapshot is None and options.node_info is None:
        raise SettingsError("--source needs --snapshot FILE or --node-info URL to begin with")
    host, port = read_bind(options.bind)
    return run_node(
        NodeSettings(
            root=root,
            data=options.data,
            snapshot=options.snapshot,
            node_info=options.node_info,
            upstream=options.upstream,
            form=None if options.form is None else Form(options.form),
            host=host,
            port=port,
            tracing=_tracing(options),
        )
    )


def _tracing(options: argparse.Namespace) -> TraceSettings:
    return TraceSettings(
        file=options.traces,
        console=options.trace_console,
        otlp=options.otlp,
        rate=read_rate(options.trace_rate),
    )


def _serve(options: argparse.Namespace) -> int:
    if options.source is not None:
        return _serve_node(options)
    from api.serve import run

    host, port = read_bind(options.bind)
    if options.faucet_max < 0:
        raise SettingsError(f"--faucet-max must not be negative: {options.faucet_max}")
    return run(
        Settings(
            host=host,
            port=port,
            data=options.data,
            demo=options.demo,
            faucet_usd=read_faucet(options.faucet, demo=options.demo),
            faucet_credits_max=options.faucet_max,
            config=options.config,
            tracing=_tracing(options),
            seed=options.seed,
            node_logs=options.node_logs,
        )
    )


def _add_watch(commands: Commands) -> None:
    watch = commands.add_parser(
        "watch",
        help="show a book and its trades in the terminal",
        description="Show a live ladder and trades.",
    )
    watch.add_argument("coin", metavar="COIN", help="market, for example BTC")
    watch.add_argument(
        "--url", default=f"http://{DEFAULT_BIND}", help="of the exchange (%(default)s)"
    )
    watch.add_argument("--levels", type=int, default=None, metavar="N", help="price levels a side")
    watch.add_argument(
        "--plain", action="store_true", help="print lines instead of a moving picture"
    )
    watch.set_defaults(command=_watch)


def _watch(options: argparse.Namespace) -> int:
    from api.watch import run_watch

    return run_watch(options.coin, url=options.url, levels=options.levels, plain=options.plain)


def _add_tree(commands: Commands) -> None:
    tree = commands.add_parser(
        "tree",
        help="show the living tree of actors, or act on one of them",
        description="Show every part of a running exchange: its state, restarts, waiting messages"
        " and how busy it is; of many alike, the ones that somebody should look at.",
    )
    tree.add_argument(
        "path", nargs="?", default="", metavar="PATH", help="show this part only, e.g. markets/BTC"
    )
    _add_data(tree)
    what = tree.add_mutually_exclusive_group()
    what.add_argument("--watch", action="store_true", help="keep the tree moving")
    what.add_argument("--restart", action="store_true", help="stop PATH and start it anew")
    what.add_argument(
        "--trace",
        nargs="?",
        type=int,
        const=20,
        metavar="N",
        help="print the next N messages of PATH (%(const)s)",
    )
    what.add_argument("--state", action="store_true", help="print what PATH holds")
    tree.add_argument("--json", action="store_true", help="print JSON")
    tree.add_argument("--top", type=int, metavar="N", help="children of each pool to list (10)")
    tree.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help="how long to look at how busy everything is (0.25), or to trace (10)",
    )
    tree.set_defaults(command=_tree)


def _tree(options: argparse.Namespace) -> int:
    from api.tree import TreeOptions, run_tree

    return run_tree(
        TreeOptions(
            data=options.data,
            path=options.path,
            top=options.top,
            seconds=options.seconds,
            is_json=options.json,
            is_watching=options.watch,
            is_restarting=options.restart,
            is_state=options.state,
            trace_messages=options.trace,
        )
    )


def _add_operator(commands: Commands) -> None:
    fund = commands.add_parser(
        "fund",
        help="credit an account",
        description="Credit an account with USD, or its spot balance with a token.",
    )
    fund.add_argument("account", metavar="ADDRESS")
    fund.add_argument("amount", metavar="AMOUNT")
    fund.add_argument("--token", metavar="NAME", help="what to credit, if not USD for perpetuals")
    _add_data(fund)
    fund.set_defaults(command=_fund)
    oracle = commands.add_parser(
        "oracle",
        help="move a market's oracle price",
        description="Move a market's oracle price. The mark price follows as the book does."
        " In a demo the oracle wanders on from there.",
    )
    oracle.add_argument("coin", metavar="COIN")
    oracle.add_argument("price", metavar="PRICE")
    _add_data(oracle)
    oracle.set_defaults(
        command=lambda options: _ask(
            options.data,
            {"do": "oracle", "coin": options.coin, "price": options.price},
            "{coin}: oracle {oracle}, mark {mark}",
        )
    )


def _fund(options: argparse.Namespace) -> int:
    """Credit USD, or a token if one is named."""
    request = {"do": "fund", "account": options.account}
    if options.token is None:
        form = "credited {account} with {usd} USD"
        return _ask(options.data, {**request, "usd": options.amount}, form)
    form = "credited {account} with {amount} {token}"
    return _ask(options.data, {**request, "token": options.token, "amount": options.amount}, form)


def _add_markets(commands: Commands) -> None:
    markets = commands.add_parser(
        "markets",
        help="list the markets, or add some",
        description="List the markets of a running exchange with their prices,"
        " or those that a new one would open.",
    )
    _add_data(markets)
    markets.add_argument(
        "--config", type=Path, metavar="FILE", help="check this settings file and list its markets"
    )
    markets.add_argument("--json", action="store_true", help="print JSON")
    markets.set_defaults(command=_markets)
    add = markets.add_subparsers(title="to change them", metavar="COMMAND").add_parser(
        "add",
        help="open the markets of a file on the running exchange",
        description="Open markets on a running exchange. FILE holds [[markets]] and [[pairs]]"
        " tables as in a settings file; they get the next free asset ids.",
    )
    add.add_argument("file", type=Path, metavar="FILE")
    add.add_argument(
        "--data",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="DIR",
        help=f"data directory ({DEFAULT_DATA})",
    )
    add.set_defaults(command=_add_listed)


def _markets(options: argparse.Namespace) -> int:
    from api.markets import run_markets

    return run_markets(options.data, config=options.config, is_json=options.json)


def _add_listed(options: argparse.Namespace) -> int:
    from api.markets import run_add_markets

    return run_add_markets(options.data, options.file)


def _ask(data: Path, request: dict[str, str], said: str) -> int:
    from api.admin import AdminError, ask_admin

    try:
        answer = trio.run(ask_admin, data, request)
    except AdminError as error:
        return _complain(str(error), EXIT_REFUSED)
    print(said.format(**answer))
    return 0


def _add_verify(commands: Commands) -> None:
    verify = commands.add_parser(
        "verify",
        help="replay a journal and compare",
        description="Replay the journal of a data directory from nothing;"
        " compare every block's digest and all snapshots.",
    )
    verify.add_argument("data", type=Path, metavar="DIR")
    verify.set_defaults(command=_verify)


def _verify(options: argparse.Namespace) -> int:
    from api.verify import run_verify

    return run_verify(options.data)


def _add_inspect(commands: Commands) -> None:
    inspect = commands.add_parser(
        "inspect",
        help="look at a real node's files",
        description="Rebuild the book of one coin from a real node's files, offline.",
    )
    inspect.add_argument(
        "source", metavar="node:PATH", help="the node's data root, which holds its streams' folders"
    )
    inspect.add_argument(
        "--snapshot", type=Path, required=True, metavar="FILE", help="L4 snapshot to begin with"
    )
    inspect.add_argument("--coin", required=True, metavar="COIN")
    inspect.add_argument(
        "--form", choices=("block", "streaming"), help="how the files are written (found out)"
    )
    what = inspect.add_mutually_exclusive_group(required=True)
    for name, text in (
        ("bbo", "print best bid and ask after each block that changed the book"),
        ("book", "print the whole book at the end"),
        ("check", "print every gap, mismatch and oddity"),
    ):
        what.add_argument(f"--{name}", dest="view", action="store_const", const=name, help=text)
    inspect.set_defaults(command=_inspect)


def _inspect(options: argparse.Namespace) -> int:
    from api.inspect import InspectOptions, View, node_root, run_inspect
    from model.node.lines import Form

    root = node_root(options.source)
    if root is None:
        raise SettingsError(f"not a source to inspect: {options.source!r} (expected node:PATH)")
    return run_inspect(
        InspectOptions(
            root=root,
            snapshot=options.snapshot,
            coin=options.coin,
            view=View(options.view),
            form=None if options.form is None else Form(options.form),
        )
    )


def _add_generate(commands: Commands) -> None:
    generate = commands.add_parser(
        "generate",
        help="make a synthetic node's files",
        description="Make files such as a real node writes, from a seed, with the truth beside them"
        " and, if asked for, with everything that goes wrong.",
    )
    generate.add_argument("root", type=Path, metavar="DIR", help="where to; new or empty")
    for name, default, text in (
        ("seed", 1, "of everything"),
        ("blocks", 1_000, "to write"),
        ("coins", 10, "markets"),
        ("orders", 1_000, "that rest at the beginning"),
        ("changes", 200, "of books in a block, on average"),
        ("rejections", 300, "orders refused in a block, on average"),
        ("every", 50, "blocks between two oddities"),
    ):
        generate.add_argument(
            f"--{name}", type=int, default=default, metavar="N", help=f"{text} (%(default)s)"
        )
    generate.add_argument("--form", choices=("block", "streaming"), default="block")
    generate.add_argument(
        "--odd", action="append", default=[], metavar="CASE", help="add an oddity; all for each"
    )
    generate.set_defaults(command=_generate)


def _generate(options: argparse.Namespace) -> int:
    from actors.node.oddities import Mishap
    from actors.node.synthetic import Profile
    from api.generate import GenerateOptions, run_generate
    from model.node.lines import Form

    names = list(Mishap) if "all" in options.odd else options.odd
    try:
        odd = tuple(map(Mishap, names))
    except ValueError as error:
        raise SettingsError(f"--odd: {error}; known are: {', '.join(Mishap)}") from error
    return run_generate(
        GenerateOptions(
            root=options.root,
            seed=options.seed,
            blocks=options.blocks,
            form=Form(options.form),
            profile=Profile(options.coins, options.orders, options.changes, options.rejections),
            odd=odd,
            every=max(options.every, 1),
        )
    )


def _add_trace(commands: Commands) -> None:
    trace = commands.add_parser(
        "trace",
        help="follow one message through the exchange",
        description="Let one thing happen on an exchange of its own, in a temporary directory, and"
        " print who said what to whom, with the time in queues and in handlers.",
    )
    trace.add_argument(
        "scenario",
        metavar="SCENARIO",
        choices=(*TRACES, "all"),
        help=f"{', '.join(TRACES)}, or all",
    )
    trace.add_argument(
        "--format",
        default="mermaid",
        choices=("mermaid", "text", "json"),
        help="a Mermaid sequence diagram, text, or JSON (%(default)s)",
    )
    trace.add_argument(
        "--into", type=Path, metavar="FILE", help="make the diagrams of this page anew instead"
    )
    trace.set_defaults(command=_trace)


def _trace(options: argparse.Namespace) -> int:
    from api.trace import run_trace

    return run_trace(options.scenario, options.format, options.into)


def _add_bench(commands: Commands) -> None:
    from api.bench.command import add_arguments, run_bench

    bench = commands.add_parser(
        "bench",
        help="measure this machine",
        description="Measure this machine. Close other programs first; where others share it, "
        "compare ratios rather than figures.",
    )
    add_arguments(bench)
    bench.set_defaults(command=run_bench)


def _add_profile(commands: Commands) -> None:
    profile = commands.add_parser(
        "profile",
        help="see where a running gateway spends its time",
        description="Sample a running gateway for some seconds and draw a flame graph.",
    )
    profile.add_argument("seconds", type=int, metavar="SECONDS", help="how long, up to 600")
    _add_data(profile)
    profile.add_argument(
        "--output",
        type=Path,
        default=Path("profile.svg"),
        metavar="FILE",
        help="where to draw it (%(default)s)",
    )
    profile.add_argument(
        "--gil", action="store_true", help="only what holds the interpreter's lock"
    )
    profile.set_defaults(command=_profile)


def _profile(options: argparse.Namespace) -> int:
    from api.profile import ProfileOptions, run_profile

    return run_profile(
        ProfileOptions(options.seconds, options.data, options.output, is_gil=options.gil)
    )


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        default=DEFAULT_DATA,
        metavar="DIR",
        help="data directory (%(default)s)",
    )


def _configure_logging(options: argparse.Namespace) -> None:
    """Log for people, unless it is a gateway and nobody seems to read along."""
    from api.logs import configure_logging

    form: str | None = getattr(options, "log_format", "console")
    configure_logging(form, verbose=getattr(options, "verbose", False))


def _complain(text: str, status: int) -> int:
    print(f"zaraba: {text}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
