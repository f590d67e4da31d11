"""Entrepot's core: everything that is the same for every package ecosystem.

The core never names an adapter; adapters arrive as values through the entry-point group `gateway.adapters`.
"""
