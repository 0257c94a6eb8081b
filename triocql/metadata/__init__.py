"""What is known of a cluster: its nodes, in snapshots that never change."""
