"""The accountants: parameters, memory, activations, FLOPs, heads, and time."""
