"""The names of a denoiser's levels: the resolutions at which its parts work, and what has none."""

TAU, REST = "tau", "rest"  # the conditioner, and what works at no one resolution: embeddings of time, say


def square(height: int) -> str:
    return f"{height}×{height}"


def finest_first(levels: set[str]) -> list[str]:
    """Levels in the order of the way down, then Tau, then the rest."""
    return sorted(levels, key=lambda level: -int(level.split("×")[0]) if "×" in level else (level == REST))
