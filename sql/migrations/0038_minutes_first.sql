-- Minutes are merged before the seven longer windows: a set of partials stays until it is in all of them.
-- Locks: access exclusive on rollup_partial_sets, the view rollup_partials and a function, for a moment.

alter table rollup_partial_sets add column in_minutes boolean not null default false;
comment on column rollup_partial_sets.in_minutes is 'Whether rollup_1m counts it already, and only the longer windows wait.';
comment on table rollup_partial_sets is
    'Partial rollups that are not in all windows yet, by batch and UTC day. Element i of every array is one group; its histogram is the next hist_sizes[i] elements of hist_keys and hist_counts. Those that rollup_1m lacks are readable as rows in rollup_partials.';

create or replace view rollup_partials as
select g.series_id, g.metric, g.bucket_start, g.count, g.sum, g.sum_exact, g.min, g.max, g.mean, g.m2,
       s.hist_keys[g.hist_end - g.hist_size + 1 : g.hist_end] as hist_keys,
       s.hist_counts[g.hist_end - g.hist_size + 1 : g.hist_end] as hist_counts
from (
    select series_ids, metrics, minutes, counts, sums, exact_sums, minima, maxima, means, m2s, hist_sizes,
           hist_keys || '{}'::integer[] as hist_keys, hist_counts || '{}'::bigint[] as hist_counts
    from rollup_partial_sets where not in_minutes offset 0
) s cross join lateral (
    select u.*, sum(u.hist_size) over (order by u.place)::integer as hist_end
    from unnest(s.series_ids, s.metrics, s.minutes, s.counts, s.sums, s.exact_sums, s.minima, s.maxima, s.means, s.m2s,
                s.hist_sizes) with ordinality
        as u (series_id, metric, bucket_start, count, sum, sum_exact, min, max, mean, m2, hist_size, place)) g;
comment on view rollup_partials is 'Partial rollups that rollup_1m lacks yet, one row per batch, minute, series and metric.';

create or replace function rollup_pending_buckets()
returns table (bucket_start timestamptz, series_id bigint, metric text)
language plpgsql stable parallel safe rows 1000 as $$
begin
    return query
    select distinct w.bucket_start, w.series_id, w.metric
    from lah.rollup_partial_sets p
    cross join lateral unnest(p.minutes, p.series_ids, p.metrics) as w (bucket_start, series_id, metric)
    where not p.in_minutes;
end
$$;

comment on column rollup_watermarks.pending_partials is 'Partials that are not in all windows yet.';
