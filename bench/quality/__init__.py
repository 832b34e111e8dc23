"""The metrics: how far the samples are from real images, and whether they show what was asked for."""
