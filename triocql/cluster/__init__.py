"""Neutral coroutines around the engine: opening connections, keeping them, and ending them."""
