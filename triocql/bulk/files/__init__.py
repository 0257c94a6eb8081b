"""Files: pages of a table as Parquet, CSV, JSON Lines and Arrow IPC, and the directories that they are in."""
