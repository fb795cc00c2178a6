"""What Dagster watches: landing's progress, late days, failed partitions, backfill requests."""
