"""Connections: stream ids, what is in flight on them, and the pool of a node."""
