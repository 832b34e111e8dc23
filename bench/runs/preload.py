"""What the process imports from which workers are forked. It holds on to nothing of the run's own output."""

import atexit
import os

import bench.runs.worker  # noqa: F401 - for those that are forked

atexit.register(os._exit, 0)  # to take all modules apart takes two seconds; nothing was done that has to be undone
nothing = os.open(os.devnull, os.O_RDWR)
os.dup2(nothing, 1)
os.dup2(nothing, 2)
