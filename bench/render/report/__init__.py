"""The page and the Markdown files of a results folder."""
