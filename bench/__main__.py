"""`python -m bench`, and the `bench` command that is installed with it."""

from typing import NoReturn

from bench.cli import main
from bench.stopping import run_and_leave


def command() -> NoReturn:
    run_and_leave(main)


if __name__ == "__main__":
    command()
