"""Decisions that users may want to take themselves: small protocols without I/O, and their defaults."""
