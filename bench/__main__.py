"""`python -m bench`."""

from bench.cli import main
from bench.stopping import run_and_leave

if __name__ == "__main__":
    run_and_leave(main)
