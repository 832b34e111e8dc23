"""Pictures and plots as files."""
