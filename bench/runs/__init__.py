"""From a request to records: one process a run; launching, resuming, failing."""
