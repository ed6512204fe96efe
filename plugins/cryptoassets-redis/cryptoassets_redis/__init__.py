"""Wallet notifications over Redis pub/sub, and events to a Redis stream."""
