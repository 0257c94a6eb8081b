"""What users choose: options of sessions and of requests, contact points, auth, and the checks of both."""
