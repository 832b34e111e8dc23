"""`python -m bench`, and the `bench` command that is installed with it."""

from typing import NoReturn

from bench.commands import output


def command() -> NoReturn:
    output.claim()  # before anything is imported that might print

    from bench.commands.cli import main
    from bench.stopping import run_and_leave

    run_and_leave(main)


if __name__ == "__main__":
    command()
