-- name: write_verdict
-- What one rule said about one asset's rows of a period.
insert into checks (checked_at, asset, check_name, severity, blocking, passed, checked_rows, failed_rows, observed,
                    advice, period_from, period_to, run_id)
values (%(checked_at)s, %(asset)s, %(check_name)s, %(severity)s, %(is_blocking)s, %(passed)s, %(checked_rows)s,
        %(failed_rows)s, %(observed)s, %(advice)s, %(period_from)s, %(period_to)s, %(run_id)s)

-- name: latest_verdicts
-- The latest verdict of every rule, of one asset or (null) of all.
select distinct on (asset, check_name)
       asset, check_name, severity, blocking, passed, checked_rows, failed_rows, observed, advice,
       checked_at, period_from, period_to, run_id
from checks
where %(asset)s::text is null or asset = %(asset)s::text
order by asset, check_name, checked_at desc, check_id desc
