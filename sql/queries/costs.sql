-- Statements of the costs room: the price book in the database, and costs per day.

-- name: lock
-- One computation of daily costs at a time: two at once would each insert the same day.
select pg_advisory_xact_lock(hashtextextended('lah.costs', 0))

-- name: upsert_prices
-- Prices of the book, as JSON; the same model and start replaces what was there.
insert into prices (model, provider, valid_from, valid_to, input_usd_per_mtok, cache_read_usd_per_mtok, cache_write_usd_per_mtok, output_usd_per_mtok, source)
select model, provider, valid_from, coalesce(valid_to, 'infinity'), input_usd_per_mtok, cache_read_usd_per_mtok, cache_write_usd_per_mtok, output_usd_per_mtok, source
from jsonb_to_recordset(%(rows)s::jsonb) as r (
    model text, provider text, valid_from timestamptz, valid_to timestamptz, input_usd_per_mtok numeric,
    cache_read_usd_per_mtok numeric, cache_write_usd_per_mtok numeric, output_usd_per_mtok numeric, source text)
on conflict (model, valid_from) do update
set provider = excluded.provider, valid_to = excluded.valid_to, input_usd_per_mtok = excluded.input_usd_per_mtok,
    cache_read_usd_per_mtok = excluded.cache_read_usd_per_mtok, cache_write_usd_per_mtok = excluded.cache_write_usd_per_mtok,
    output_usd_per_mtok = excluded.output_usd_per_mtok, source = excluded.source

-- name: acting
-- Who the transaction's changes of the price book are put down to in the audit log.
select set_config('lah.actor', %(actor)s, true)

-- name: prices
-- The whole price book.
select model, provider, valid_from, nullif(valid_to, 'infinity') as valid_to, input_usd_per_mtok, cache_read_usd_per_mtok, cache_write_usd_per_mtok, output_usd_per_mtok, source
from prices

-- name: cost_events
-- What one day's costs are made of. Prices go by the event's own model, groups by its series, whose number is bounded.
select e.ts, e.tenant, e.subtype, e.request_id, e.model as priced_model, s.model, s.environment, s.service, s.team,
       e.input_tokens, e.output_tokens, e.input_fresh_tokens, e.input_cache_read_tokens, e.input_cache_write_tokens,
       e.output_visible_tokens, e.output_reasoning_tokens, e.token_derivation, e.cost_usd
from events e join series s using (series_id)
where e.ts >= %(start)s and e.ts < %(end)s
  and (e.payload_type, e.subtype) in (('cost', 'token_cost'), ('telemetry', 'token_usage'), ('cost', 'api_cost'), ('cost', 'resource_consumption'))

-- name: delete_days
-- Make room for the days that are computed anew, both ends included.
delete from cost_daily where day between %(day_from)s and %(day_to)s
