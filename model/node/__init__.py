"""What a chain's node writes: its lines, its snapshots, and the books that follow from them.

Everything here is a function of bytes and values that it is given; files are read by
``actors.node``. Prices and sizes are integers of 1e-8 throughout, since the lines do not tell the
grid of their market; ``decimal_text`` writes them as the node does.
"""
