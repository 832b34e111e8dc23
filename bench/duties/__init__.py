"""What is owed by every contestant, and found out about one by `bench check`."""
