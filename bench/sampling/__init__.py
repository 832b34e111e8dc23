"""The diffusion mathematics, drawing, and the samples that are scored."""
