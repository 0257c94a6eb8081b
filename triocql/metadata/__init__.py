"""The metadata of a cluster: its nodes, in snapshots that never change."""
