-- Rows of rollups stay whole in their page: a histogram of a few hundred buckets was compressed at every update, or moved
-- to a table of its own. Windows that are updated again and again get room for it in their page, so that an update writes
-- no index.
-- Locks: share update exclusive on each rollup table for a moment, which nobody who reads or writes can feel. Rows that
-- are there are written so when they next change.

do $$
declare
    window_name text;
begin
    foreach window_name in array array['1m', '5m', '15m', '1h', '6h', '1d', '1w', '1mo'] loop
        execute format('alter table rollup_%s set (toast_tuple_target = 8160)', window_name);
    end loop;
    foreach window_name in array array['5m', '15m', '1h', '6h', '1d', '1w', '1mo'] loop
        execute format('alter table rollup_%s set (fillfactor = 50)', window_name);
    end loop;
end
$$;
