-- What DuckDB asks the archive's files about one subject. $files is a list of paths; `further` has the events that name the
-- subject besides their own.

-- name: reach
-- Rows per file, with their first and last ts and their types.
select filename, count(*), min(ts), max(ts), list(distinct event_type)
from read_parquet($files, union_by_name = true, hive_partitioning = false, filename = true) a
where a.tenant = $tenant and (a.subject_id = $subject_id
      or exists (select 1 from further f where f.ts = a.ts and f.event_id = a.event_id))
group by filename order by filename

-- name: rows
-- The rows themselves, by time.
select a.* from read_parquet($files, union_by_name = true, hive_partitioning = false) a
where a.tenant = $tenant and (a.subject_id = $subject_id
      or exists (select 1 from further f where f.ts = a.ts and f.event_id = a.event_id))
order by a.ts, a.event_id

-- name: sample
-- Some of a subject's own rows, with their personal columns.
select event_id, tags, payload from read_parquet($files, union_by_name = true, hive_partitioning = false)
where tenant = $tenant and subject_id = $subject_id limit $limit
