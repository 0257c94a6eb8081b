"""Seeing what goes on: the log, hooks on requests, and what is counted of them."""
