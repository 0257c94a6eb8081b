"""What users get: rows, what makes them, and results."""
