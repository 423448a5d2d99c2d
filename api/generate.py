"""``zaraba generate``: a synthetic node's files from a seed, with the truth to compare with.

Below the folder stand the node's own folders, ``snapshot.json`` of the block before the first, and
``truth/COIN.jsonl`` with what ``zaraba inspect --bbo`` is to print.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random
from typing import IO

import msgspec
from attrs import frozen

from actors.node.oddities import Mishap, OddNode
from actors.node.synthetic import Profile, SyntheticChain
from model.node.lines import Form

EXIT_EXISTS = 73
"""The folder is there already and is not empty (EX_CANTCREAT)."""


@frozen
class GenerateOptions:
    """What to make. ``odd`` are mishaps, one in every ``every`` blocks."""

    root: Path
    seed: int
    blocks: int
    form: Form
    profile: Profile
    odd: tuple[Mishap, ...] = ()
    every: int = 50


def run_generate(options: GenerateOptions) -> int:
    """Write the files; return the process's exit status."""
    root = options.root
    if root.exists() and any(root.iterdir()):
        sys.stderr.write(f"zaraba: {root} is not empty\n")
        return EXIT_EXISTS
    root.mkdir(parents=True, exist_ok=True)
    chain = SyntheticChain(options.seed, options.profile)
    node = OddNode(chain, root, options.form, Random(options.seed + 1))
    (root / "snapshot.json").write_bytes(node.snapshot())
    _write_blocks(node, options)
    node.writer.close()
    sys.stderr.write(f"zaraba: wrote {options.blocks} blocks, up to {chain.height}, to {root}\n")
    return 0


def _write_blocks(node: OddNode, options: GenerateOptions) -> None:
    folder = options.root / "truth"
    folder.mkdir()
    files: dict[str, IO[bytes]] = {}
    try:
        for index in range(options.blocks):
            is_odd = options.odd and index % options.every == options.every - 1
            block = node.step(node.random.choice(options.odd) if is_odd else None)
            for coin in dict.fromkeys(diff.coin for diff in block.diffs):
                truth = node.truths.pop((coin, block.height))
                if coin not in files:
                    name = coin.replace("/", "_")
                    files[coin] = (folder / f"{name}.jsonl").open("wb")
                files[coin].write(msgspec.json.encode(truth) + b"\n")
    finally:
        for file in files.values():
            file.close()
