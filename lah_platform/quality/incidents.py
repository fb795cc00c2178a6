"""What incidents promise: a story whose members, times, tenant, cause and cost are those it was told from."""

from lah_platform.quality.rules import Asset, Rule, filled, names, not_below

__all__ = ["COSTS_ADD_UP", "INCIDENTS"]

_TELL_AGAIN = "tell its days again with `lah backfill incidents`"
_MEMBERS = """
    select b.incident_id, b.tenant, b.started_at, b.ended_at, m.position, m.member_type, m.member_id,
           coalesce(a.tenant, c.tenant) as member_tenant, a.started_at as member_started_at,
           a.peak_at as member_peak_at, a.ended_at as member_ended_at, c.correlation_type, c.evidence
    from batch b join incident_members m using (incident_id)
    left join anomalies a on m.member_type = 'anomaly' and a.anomaly_id::text = m.member_id
    left join correlations c on m.member_type = 'correlation' and c.correlation_id::text = m.member_id
"""
_PARTS = ("volume", "retry", "latency", "model", "prompt", "answer", "cache", "price", "rate")

COSTS_ADD_UP = Rule(
    "correlations",
    "costs_add_up",
    "error",
    False,
    "cost_usd of a cost_impact must be the sum of its parts: correlate the period again, report it if it stays",
    sql=filled(
        """
        select correlation_id, tenant, evidence ->> 'cost_usd' as cost_usd, {parts} as parts_usd
        from batch join correlations using (correlation_id, tenant)
        where batch.correlation_type = 'cost_impact' and (evidence ->> 'cost_usd')::numeric is distinct from {parts}
          and evidence ->> 'cost_usd' is not null
        """,
        parts=" + ".join(f"coalesce((evidence ->> '{part}_usd')::numeric, 0)" for part in _PARTS),
    ),
)

INCIDENTS = Asset(
    "incidents",
    "started_at",
    names("incident_id tenant started_at ended_at root_cause root_cause_confidence cost_usd story"),
    (
        Rule(
            "incidents",
            "times_are_ordered",
            "error",
            False,
            f"An incident ends no earlier than it starts: {_TELL_AGAIN}",
            not_below("ended_at", "started_at"),
        ),
        Rule(
            "incidents",
            "peaks_lie_within",
            "error",
            False,
            f"An anomaly of it starts, peaks or ends outside it, as one that grew since does: {_TELL_AGAIN}",
            sql=filled(
                """
                select incident_id, member_id, started_at, member_started_at, member_peak_at, member_ended_at, ended_at
                from ({members}) m
                where not (started_at <= member_started_at and member_started_at <= member_peak_at
                    and member_peak_at <= member_ended_at and member_ended_at <= ended_at)
                """,
                members=_MEMBERS,
            ),
        ),
        Rule(
            "incidents",
            "members_exist",
            "error",
            False,
            f"An incident has members, each a stored anomaly or correlation; some were found again: {_TELL_AGAIN}",
            sql=filled(
                """
                select incident_id, position, member_type, member_id from ({members}) m where member_tenant is null
                union all
                select b.incident_id, null, null, null from batch b
                where not exists (select from incident_members m where m.incident_id = b.incident_id)
                """,
                members=_MEMBERS,
            ),
        ),
        Rule(
            "incidents",
            "tenants_are_not_mixed",
            "error",
            True,
            "The story would tell one tenant of another: delete these incidents, find out who wrote them (audit_log), "
            f"and {_TELL_AGAIN}",
            sql=filled(
                """
                select incident_id, tenant, position, member_type, member_id, member_tenant from ({members}) m
                where member_tenant <> tenant
                """,
                members=_MEMBERS,
            ),
        ),
        Rule(
            "incidents",
            "root_cause_is_its_component",
            "error",
            False,
            "The root cause must be the first of its candidates, and a service or model this tenant has series of: "
            f"{_TELL_AGAIN}",
            sql="""
                select incident_id, tenant, root_cause,
                       story -> 'where' -> 'candidates' -> 0 ->> 'node' as first_candidate
                from batch b
                where root_cause is distinct from story -> 'where' -> 'candidates' -> 0 ->> 'node'
                   or (root_cause is null) <> (root_cause_confidence is null)
                   or (root_cause is not null and not exists (
                        select from series s where s.tenant = b.tenant
                        and b.root_cause in ('service ' || s.service, 'model ' || s.model)))
            """,
        ),
        Rule(
            "incidents",
            "cost_is_the_sum_of_its_evidence",
            "error",
            False,
            f"cost_usd must be what its cost_impact correlations say together, null where none does: {_TELL_AGAIN}",
            sql=filled(
                """
                select b.incident_id, b.tenant, b.cost_usd, e.evidence_usd from batch b
                left join (
                    select incident_id, sum((evidence ->> 'cost_usd')::numeric) as evidence_usd from ({members}) m
                    where correlation_type = 'cost_impact' group by incident_id
                ) e using (incident_id)
                where b.cost_usd is distinct from e.evidence_usd
                """,
                members=_MEMBERS,
            ),
        ),
    ),
    keys=names("incident_id tenant"),
)
