"""The Dagster side: each asset reads, computes, writes and reports; what it computes is in `lah_platform`."""
