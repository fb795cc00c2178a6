-- What DuckDB asks the archive's files. $files is a list of paths; {row_hash} and {columns} are filled in by stores/archive_files.py.

-- name: summary
-- Rows, extremes and checksum of a file as it lies on disk.
select count(*), epoch_us(min(ts)), epoch_us(max(ts)), sum({row_hash}) from read_parquet($files)

-- name: known_keys
-- Which of the rows in `stored` the files hold; row groups of other times are not read.
select epoch_us(a.ts) as ts, a.tenant, a.event_id from read_parquet($files, union_by_name = true) a
semi join stored s on epoch_us(a.ts) = s.ts and a.tenant = s.tenant and a.event_id = s.event_id
where a.ts >= make_timestamptz($start_us) and a.ts < make_timestamptz($end_us)

-- name: rows
-- Some columns of a period, in the order of the key; one file has it already.
select {columns} from read_parquet($files, union_by_name = true)
where ts >= make_timestamptz($start_us) and ts < make_timestamptz($end_us)
{order}
