"""Results: rows, the factories that make them, and the pages they come in."""
