"""Schema drift: fields of payloads that were never seen before, are seen with another type, or have gone.

Of every series and hour the first and the last event are looked at: that costs one pass over two columns of the day and
a look-up for each, and shows every producer and kind of event however rare. Names and types of fields are compared and
kept, values never; a text that the hub encrypted says nothing of what it was, so its type is not compared.

A share of 5 % keeps fields that are merely rare from being called new, 99 % those that are merely usual from being
missed.
"""

from lah_platform.quality.rules import filled

__all__ = ["DRIFT", "SHAPES"]

_PLACES = 20_000  # so many events are looked at: 10,000 series and hours
# In halves, because PostgreSQL then expects few groups and finds them in parallel (see `rollups`)

SHAPES = filled(
    """
    select day, tenant, source_module, event_type, subtype, field, json_type, max(events) as events,
           count(*) as present
    from (
        select sampled.*, count(*) filter (where place = 1) over (partition by day, tenant, source_module, event_type,
               subtype) as events
        from (
            select (e.ts at time zone 'UTC')::date as day, e.tenant, e.source_module, e.event_type, e.subtype,
                   f.key as field, f.place,
                   case when f.value #>> '{}' like 'enc:v1:%' then 'encrypted'
                        else jsonb_typeof(f.value) end as json_type
            from (
                select series_id, min(ts) as first_ts, max(ts) as last_ts from (
                    select series_id, ts, date_trunc('hour', ts) as hour from events
                    where ts >= {period_from} and ts < {period_to} and ts < {middle}
                    union all
                    select series_id, ts, date_trunc('hour', ts) from events
                    where ts >= {period_from} and ts < {period_to} and ts >= {middle}
                ) halves group by series_id, hour limit {places}
            ) hours
            cross join lateral (
                select distinct on (t.at) e.ts, e.tenant, e.source_module, e.event_type, e.subtype, e.payload
                from (values (hours.first_ts), (hours.last_ts)) t (at)
                join events e on e.ts = t.at and e.series_id = hours.series_id
                where e.ts >= {period_from} and e.ts < {period_to} and e.payload_type <> 'custom'
                order by t.at, e.event_id
            ) e
            cross join lateral jsonb_each(e.payload) with ordinality f (key, value, place)
        ) sampled
    ) told
    where json_type <> 'null'
    group by day, tenant, source_module, event_type, subtype, field, json_type
    """,
    places=str(_PLACES // 2),
    middle="(select {period_from} + ({period_to} - {period_from}) / 2)",
)
"""The fields of the period's payloads by day, tenant, producer and kind, with how many events of the kind were looked
at; {period_from} and {period_to} are its ends."""

DRIFT = filled(
    """
    with shapes as materialized ({shapes}),
    kinds as (
        select day, tenant, source_module, event_type, subtype, max(events) as events from shapes
        group by day, tenant, source_module, event_type, subtype
    ), known as (
        select k.*, b.before from kinds k
        cross join lateral (
            select max(p.day) as before from payload_shapes p
            where p.day < k.day and p.tenant = k.tenant and p.source_module = k.source_module
              and p.event_type = k.event_type and p.subtype = k.subtype
              and p.day < ({period_from} at time zone 'UTC')::date
        ) b where b.before is not null
    ), drifted as (
        select s.day, s.tenant, s.source_module, s.event_type, s.subtype, s.field, s.json_type,
               case when bool_or(p.field is not null) then 'type is new' else 'field is new' end as drift,
               s.present, s.events
        from shapes s join known k using (day, tenant, source_module, event_type, subtype)
        left join payload_shapes p
            on p.tenant = s.tenant and p.source_module = s.source_module and p.event_type = s.event_type
           and p.subtype = s.subtype and p.field = s.field and p.day <= k.before
        where s.present >= 0.05 * s.events
        group by s.day, s.tenant, s.source_module, s.event_type, s.subtype, s.field, s.json_type, s.present, s.events
        having not coalesce(bool_or(p.json_type = s.json_type or 'encrypted' in (p.json_type, s.json_type)), false)
        union all
        select k.day, k.tenant, k.source_module, k.event_type, k.subtype, p.field, null, 'field is missing', 0, k.events
        from known k
        join lateral (
            select field, sum(present) as present, max(events) as events from payload_shapes p
            where p.day = k.before and p.tenant = k.tenant and p.source_module = k.source_module
              and p.event_type = k.event_type and p.subtype = k.subtype
            group by field
        ) p on p.present >= 0.99 * p.events
        where k.events >= 10 and p.events >= 10 and not exists (
            select from shapes s
            where s.day = k.day and s.tenant = k.tenant and s.source_module = k.source_module
              and s.event_type = k.event_type and s.subtype = k.subtype and s.field = p.field)
    )
    select * from drifted
    """,
    shapes=SHAPES,
)
"""The rows of SHAPES that differ from what was learned of earlier days; kinds never seen before are not judged."""
