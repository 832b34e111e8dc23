"""The comparison table: rows, columns, verdicts and what may stand together."""
