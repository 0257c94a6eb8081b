"""What users hold: the session, and what executes many statements or reads many pages on it."""
