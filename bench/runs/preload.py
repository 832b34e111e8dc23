"""Imported by the fork server that CPU workers are forked from; it keeps none of the run's output open."""

import atexit
import os

import bench.runs.worker  # noqa: F401 - for those that are forked

atexit.register(os._exit, 0)  # to take all modules apart takes two seconds; nothing was done that has to be undone
nothing = os.open(os.devnull, os.O_RDWR)
os.dup2(nothing, 1)
os.dup2(nothing, 2)
