"""From a user's statement to its outcome, through however many attempts."""
