"""Accounting for Bitcoin-like coins inside Python applications."""

__version__ = "1.0.0.dev0"
