"""The exchange as a deterministic function of its log.

Nothing in this package reads a clock, a random source, a file or a socket. Time, identity and
prices arrive inside commands; everything that leaves is an event. The same log therefore always
gives the same state, to the last unit.
"""
