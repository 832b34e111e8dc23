"""The results folder: its paths, durable writes, checkpoints, the lock."""
