"""Signed requests: their wire forms, their canonical forms, and what becomes of them."""
