"""Tables in Markdown."""


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A table with a line of column names; cells hold no bar."""
    lines = [header, [":---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
