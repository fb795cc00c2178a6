-- Rollups: one table per window, and the watermark. Functions and views are in 0004.
-- Locks: none that a running system can feel; every object is new.

do $$
declare
    window_name text;
begin
    foreach window_name in array array['1m', '5m', '15m', '1h', '6h', '1d', '1w', '1mo'] loop
        execute format($table$
            create table rollup_%s (
                bucket_start  timestamptz not null,
                series_id     bigint not null,
                metric        text not null,
                count         bigint not null,
                sum           double precision,
                sum_exact     numeric(38, 12),
                min           double precision not null,
                max           double precision not null,
                mean          double precision not null,
                m2            double precision not null,
                p50           double precision not null,
                p95           double precision not null,
                p99           double precision not null,
                hist_keys     integer[] not null,
                hist_counts   bigint[] not null,
                revision      integer not null,
                computed_at   timestamptz not null,
                primary key (bucket_start, series_id, metric)
            )$table$, window_name);
        execute format('create index rollup_%s_series on rollup_%s (series_id, metric, bucket_start)', window_name, window_name);
    end loop;
end
$$;

create table rollup_state (
    singleton     boolean primary key default true check (singleton),
    final_before  timestamptz not null,
    ticked_at     timestamptz not null
);
comment on table rollup_state is 'final_before: every window that ends at or before it is final. Advanced by the rollup tick.';
insert into rollup_state (final_before, ticked_at) values ('-infinity', '-infinity');
