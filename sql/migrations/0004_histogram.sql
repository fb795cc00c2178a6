-- Histograms, moments and percentiles in SQL, and the views metrics_1m .. metrics_1mo that people query.
-- Locks: none that a running system can feel; every object is new, and a view takes no lock on its tables but
-- access share while it is created.
--
-- The histogram is that of lah_platform/rollups/histogram.py: keys ascending, one count per key.
-- Bodies are parsed here (begin atomic) or name the schema, so they work under any search_path and after a restore.

create type lah_hist as (keys integer[], counts bigint[]);
comment on type lah_hist is 'A sparse base-2 exponential histogram of scale 5: bucket keys, ascending, and their counts.';

create function lah_hist_check(keys integer[], counts bigint[])
returns void language plpgsql immutable parallel safe as $$
begin
    if cardinality(keys) is distinct from cardinality(counts) then
        raise exception 'a histogram has % keys but % counts', cardinality(keys), cardinality(counts)
            using errcode = 'array_subscript_error', hint = 'Pass hist_keys and hist_counts of the same row.';
    end if;
end
$$;
comment on function lah_hist_check is 'Raises when the arrays cannot be one histogram.';

create function lah_hist_merge(a_keys integer[], a_counts bigint[], b_keys integer[], b_counts bigint[])
returns lah_hist language plpgsql immutable parallel safe as $$
begin
    perform lah.lah_hist_check(a_keys, a_counts);
    perform lah.lah_hist_check(b_keys, b_counts);
    return (
        select row(
            coalesce(array_agg(merged.key order by merged.key), '{}'),
            coalesce(array_agg(merged.count order by merged.key), '{}')
        )::lah.lah_hist
        from (
            select part.key, sum(part.count)::bigint as count
            from (
                select a.key, a.count from unnest(a_keys, a_counts) as a (key, count)
                union all
                select b.key, b.count from unnest(b_keys, b_counts) as b (key, count)
            ) part
            group by part.key
        ) merged
    );
end
$$;
comment on function lah_hist_merge is 'The histogram of both; a null array counts as empty.';

-- The state collects buckets unmerged: merging at every row takes three times as long.
create function lah_hist_collect(state lah_hist, keys integer[], counts bigint[])
returns lah_hist language plpgsql immutable parallel safe as $$
begin
    perform lah.lah_hist_check(keys, counts);
    if keys is null then
        return state;
    end if;
    if cardinality(state.keys) > 4096 then
        state := lah.lah_hist_merge(state.keys, state.counts, null, null);
    end if;
    return row(state.keys || keys, state.counts || counts)::lah.lah_hist;
end
$$;

create function lah_hist_combine(a lah_hist, b lah_hist)
returns lah_hist language sql immutable parallel safe
begin atomic
    select lah_hist_merge((a).keys, (a).counts, (b).keys, (b).counts);
end;

create function lah_hist_finish(state lah_hist)
returns lah_hist language sql immutable parallel safe
begin atomic
    select lah_hist_merge((state).keys, (state).counts, null, null);
end;

create aggregate lah_hist_merge_agg(keys integer[], counts bigint[]) (
    sfunc = lah_hist_collect,
    stype = lah_hist,
    initcond = '({},{})',
    combinefunc = lah_hist_combine,
    finalfunc = lah_hist_finish,
    parallel = safe
);
comment on aggregate lah_hist_merge_agg(integer[], bigint[]) is 'The histogram of all rows of a group; empty when there are none.';

create function lah_hist_quantile(
    keys integer[], counts bigint[], q double precision, min double precision, max double precision
) returns double precision language plpgsql immutable parallel safe strict as $$
declare
    growth constant double precision := power(2::double precision, 1.0::double precision / 32);
    total bigint := 0;
    wanted bigint;
    seen bigint := 0;
    counted bigint;
    place integer := 0;
begin
    if not (q between 0 and 1) then
        raise exception 'a quantile lies in [0, 1], not at %', q
            using errcode = 'numeric_value_out_of_range', hint = 'For the 95th percentile use 0.95.';
    end if;
    perform lah.lah_hist_check(keys, counts);
    foreach counted in array counts loop
        total := total + counted;
    end loop;
    -- the cast reads q to 15 digits: 0.07 of 100 values is the seventh
    wanted := greatest(1, ceil(q::numeric * total));
    foreach counted in array counts loop
        seen := seen + counted;
        place := place + 1;
        if seen >= wanted then
            -- the harmonic midpoint of the bucket; the closed form, because its bounds may overflow when multiplied
            return greatest(min, least(max, case
                when keys[place] = 0 then 0
                else sign(keys[place]) * power(2::double precision, (abs(keys[place]) - 1048576)::double precision / 32)
                     * (2 * growth / (1 + growth))
            end));
        end if;
    end loop;
    return null;
end
$$;
comment on function lah_hist_quantile is
    'The nearest-rank quantile q in [0, 1], clamped to [min, max], at most 1.09 % from the value itself; null when empty.';

create type lah_moments as (count bigint, mean double precision, m2 double precision);
comment on type lah_moments is 'How many values, their mean, and the sum of their squared deviations from it.';

-- Chan, Golub and LeVeque (1979). PostgreSQL refuses underflow, so differences whose square is no double count as none.
create function lah_m2_merge(state lah_moments, count bigint, mean double precision, m2 double precision)
returns lah_moments language plpgsql immutable parallel safe as $$
declare
    n double precision;
    share double precision;
    delta double precision;
begin
    if coalesce(count, 0) = 0 then
        return state;
    end if;
    if state.count = 0 then
        return row(count, mean, m2)::lah.lah_moments;
    end if;
    n := state.count::double precision + count;
    share := count / n;
    delta := mean - state.mean;
    return row(
        state.count + count,
        state.mean + case when abs(delta) > 1e-280 then delta * share else 0 end,
        state.m2 + m2 + case when abs(delta) > 1e-150 then delta * delta * (share * state.count) else 0 end
    )::lah.lah_moments;
end
$$;

create function lah_m2_combine(a lah_moments, b lah_moments)
returns lah_moments language sql immutable parallel safe
begin atomic
    select lah_m2_merge(a, (b).count, (b).mean, (b).m2);
end;

create function lah_m2_stddev(state lah_moments)
returns double precision language sql immutable parallel safe
begin atomic
    select case when (state).count > 1 then sqrt((state).m2) / sqrt(((state).count - 1)::double precision) end;
end;

create aggregate lah_m2_merge_agg(count bigint, mean double precision, m2 double precision) (
    sfunc = lah_m2_merge,
    stype = lah_moments,
    initcond = '(0,0,0)',
    combinefunc = lah_m2_combine,
    parallel = safe
);
comment on aggregate lah_m2_merge_agg(bigint, double precision, double precision) is
    'Count, mean and squared deviations of all rows of a group.';

create aggregate lah_stddev_agg(count bigint, mean double precision, m2 double precision) (
    sfunc = lah_m2_merge,
    stype = lah_moments,
    initcond = '(0,0,0)',
    combinefunc = lah_m2_combine,
    finalfunc = lah_m2_stddev,
    parallel = safe
);
comment on aggregate lah_stddev_agg(bigint, double precision, double precision) is
    'Standard deviation (of a sample, n - 1) of all values behind the rows of a group; null below two values.';

-- Hours, not days, and months in UTC: '1 day' would follow the session's time zone over a change of clocks.
do $$
declare
    size record;
begin
    for size in
        select * from (values
            ('1m', $e$r.bucket_start + interval '1 minute'$e$),
            ('5m', $e$r.bucket_start + interval '5 minutes'$e$),
            ('15m', $e$r.bucket_start + interval '15 minutes'$e$),
            ('1h', $e$r.bucket_start + interval '1 hour'$e$),
            ('6h', $e$r.bucket_start + interval '6 hours'$e$),
            ('1d', $e$r.bucket_start + interval '24 hours'$e$),
            ('1w', $e$r.bucket_start + interval '168 hours'$e$),
            ('1mo', $e$(r.bucket_start at time zone 'UTC' + interval '1 month') at time zone 'UTC'$e$)
        ) as sizes (name, bucket_end)
    loop
        execute format($view$
            create view metrics_%1$s with (security_invoker = true) as
            select
                r.bucket_start,
                %2$s as bucket_end,
                s.tenant, s.event_type, s.subtype, s.model, s.environment, s.service, s.region, s.team,
                r.series_id,
                r.metric,
                r.count,
                coalesce(r.sum_exact, r.sum::numeric) as sum,
                r.mean as avg,
                r.min,
                r.max,
                case when r.count > 1 then sqrt(r.m2) / sqrt((r.count - 1)::double precision) end as stddev,
                r.p50,
                r.p95,
                r.p99,
                r.revision,
                r.computed_at,
                %2$s <= (select final_before from rollup_state) as is_final
            from rollup_%1$s r
            join series s using (series_id)
        $view$, size.name, size.bucket_end);
        execute format($comment$
            comment on view metrics_%s is 'Every measure per bucket, series and metric. Buckets are half-open and in UTC; stddev is null below two values; is_final: the watermark has passed the bucket''s end.'
        $comment$, size.name);
    end loop;
end
$$;
