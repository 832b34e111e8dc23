"""`python -m bench`, and the `bench` command that is installed with it."""

import sys
from typing import NoReturn

from bench.commands import output


def command() -> NoReturn:
    output.claim()  # before anything is imported that might print
    if sys.path[0]:  # the installed command looks where itself lies; a denoiser of a user's own lies here
        sys.path.insert(0, "")

    from bench.commands.cli import main
    from bench.stopping import run_and_leave

    run_and_leave(main)


if __name__ == "__main__":
    command()
