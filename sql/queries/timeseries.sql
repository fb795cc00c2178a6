-- Time-series queries. {parts} are composed of what the query's model allows; every value is a parameter.

-- name: snapshot
-- Everything of one answer is read from one state of the tables.
set transaction isolation level repeatable read, read only

-- name: series
-- The series of a tenant ('*': of all) that the filters leave, with the dimensions that are grouped by.
select s.series_id{dimensions}
from series s
where (%(tenant)s::text = '*' or s.tenant = %(tenant)s::text){conditions}

-- name: behind
-- What an answer is made from: rows, revisions, newest computation and extent of each segment's rows.
select {number}::smallint as segment, count(*) as rows, sum(revision)::bigint as revisions, max(revision) as revision,
       max(computed_at) as computed_at, min(bucket_start) as first, max(bucket_start) as last
from {table}
where metric = %(metric)s and bucket_start >= {start} and bucket_start < {end} and series_id = any (%(series)s)
having count(*) > 0

-- name: state
-- The rollups' watermark, null before the first; and whether what is read, or what it was made of, failed a check.
select case when isfinite(final_before) then final_before end, exists (
    select from suspect_windows w
    join unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[], %(ranks)s::smallint[]) as s (from_at, to_at, rank)
      on w.period_from < s.to_at and w.period_to > s.from_at and w.window_rank <= s.rank
    where w.cleared_at is null and w.metric = %(metric)s and w.series_id = any (%(series)s))
from rollup_state

-- name: rows
-- Rows of a segment by column, in groups_of's order, then revisions and computations; of the sums those that are there.
select array_agg(series_id), array_agg(metric), array_agg(bucket_start), array_agg(count),
    array_agg(sum) filter (where sum is not null), array_agg(sum_exact::text) filter (where sum_exact is not null),
    array_agg(min), array_agg(max), array_agg(mean), array_agg(m2), array_agg(revision), array_agg(computed_at){histograms}
from {table} r
where metric = %(metric)s and bucket_start >= %(start)s and bucket_start < %(end)s and series_id = any (%(series)s)
having count(*) > 0
