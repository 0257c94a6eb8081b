"""One request, from its start to its outcome, and what holds it meanwhile."""
