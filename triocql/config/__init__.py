"""Configuration: the options of sessions and of requests, contact points, authentication, and their checks."""
