"""The trainer and its parts: batches, state, saving, tracking, validation."""
