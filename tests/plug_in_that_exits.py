"""A stranger's module that ends the process as soon as it is imported."""

import sys

print("printed before the exit")
sys.exit(3)
