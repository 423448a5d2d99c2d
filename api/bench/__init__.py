"""Benchmarks: what ``zaraba bench`` measures, each beside a baseline in the same run."""
