"""The engine: synchronous objects that live on the loop. Bytes go in, completions come out; nothing here awaits."""
