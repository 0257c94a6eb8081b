"""Routing: which connection a request goes to."""
