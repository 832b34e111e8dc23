"""One module a command: its arguments beside what it does."""
