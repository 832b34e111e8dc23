"""Denoisers of other libraries, each with the simplest condition that its own documentation shows. Nothing is tuned."""
