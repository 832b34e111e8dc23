"""The two ways a command ends badly, and the exit status of each."""


class BadInput(Exception):  # noqa: N818 - the name a user's mistake deserves
    """Bad usage or bad input: exit 2, with one line that names the thing and the remedy."""


class RunFailed(Exception):  # noqa: N818
    """A contestant's run failed: its record says why, the command exits 1."""
