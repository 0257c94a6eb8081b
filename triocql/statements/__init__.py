"""Statements: plain, prepared and bound ones, batches, and paging states."""
