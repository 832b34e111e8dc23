"""`python -m bench`."""

from bench import output

if __name__ == "__main__":
    output.claim()  # before anything is imported that might print

    from bench.cli import main
    from bench.stopping import run_and_leave

    run_and_leave(main)
