"""Logs of a session."""
