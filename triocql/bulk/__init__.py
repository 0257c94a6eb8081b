"""Whole tables: what is read of them, in which parts, and how far one has come."""
