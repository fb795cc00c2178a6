"""An incident's story names the component we slowed, whom it hurt and what it cost, and says so when it cannot."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid5

import numpy as np
import polars as pl
import pytest

from lah_platform.correlations.model import Correlation, Evidence, Member, correlation_id
from lah_platform.incidents import Incident, IncidentInputs, tell_incidents
from lah_platform.incidents.components import dependencies, node_telemetry

START = datetime(2026, 3, 2, tzinfo=UTC)
STEP = timedelta(minutes=5)
HOUR = timedelta(hours=1)
TIME = pl.Datetime("us", "UTC")
ANOMALIES = {
    "anomaly_id": pl.String,
    "tenant": pl.String,
    "series_id": pl.Int64,
    "metric": pl.String,
    "anomaly_type": pl.String,
    "started_at": TIME,
    "ended_at": TIME,
    "deviation": pl.Float64,
    "impact": pl.String,
    "explanation": pl.String,
    "model": pl.String,
    "service": pl.String,
    "team": pl.String,
}
SPANS = {"tenant": pl.String, "event_id": pl.String, "parent_event_id": pl.String, "correlation_id": pl.String}
SPANS = SPANS | {"ts": TIME, "service": pl.String, "model": pl.String}
SLOW = range(1920, 1944)  # two hours of the seventh day, in steps


def telemetry(
    slow_model: str = "gpt-4", tenant: str = "acme", seconds: float = 4.0, only: str | None = None
) -> pl.DataFrame:
    """Eight days of three services that use two models; one model is slow for two hours, and so are its users, or
    `only` one of them is."""
    rng = np.random.default_rng(1)
    steps = 8 * 288
    rows = []
    for service, model, base in (("chat", "gpt-4", 1.0), ("search", "gpt-4", 0.8), ("mail", "haiku", 0.4)):
        latency = base * np.exp(0.05 * rng.normal(size=steps))
        if model == slow_model and only in (None, service):
            latency[SLOW.start : SLOW.stop] += seconds
        rows.append(
            pl.DataFrame(
                {
                    "tenant": tenant,
                    "at": [START + STEP * i for i in range(steps)],
                    "service": service,
                    "model": model,
                    "requests": rng.poisson(200, steps).astype(float),
                    "latency": latency,
                    "failed_share": np.zeros(steps),
                }
            )
        )
    return pl.concat(rows).with_columns(pl.col("at").cast(TIME))


def anomaly(
    name: str,
    service: str,
    model: str,
    *,
    metric: str = "latency_ms",
    impact: str = "high",
    tenant: str = "acme",
    hours: float = 2.0,
    deviation: float = 9.0,
) -> dict[str, object]:
    begin = START + STEP * SLOW.start
    return {
        "anomaly_id": name,
        "tenant": tenant,
        "series_id": sum(map(ord, name)),
        "metric": metric,
        "anomaly_type": "spike",
        "started_at": begin,
        "ended_at": begin + hours * HOUR,
        "deviation": deviation,
        "impact": impact,
        "explanation": f"{metric} of {service} is high",
        "model": model,
        "service": service,
        "team": f"team {service}",
    }


def correlation(
    kind: str, ids: list[str], *, member_type: str = "anomaly", evidence: Evidence | None = None, tenant: str = "acme"
) -> Correlation:
    begin = START + STEP * SLOW.start
    members = tuple(Member("related", member_type, each, "", begin) for each in ids)  # type: ignore[arg-type]
    return Correlation(
        correlation_id(kind, tenant, members),
        tenant,
        kind,
        begin,
        begin + HOUR,
        0.9,
        0.95,
        f"A {kind}.",
        members,  # type: ignore[arg-type]
        evidence or {},
    )


def told(
    anomalies: list[dict[str, object]], correlations: list[Correlation] | None = None, **more: object
) -> list[Incident]:
    options = {"telemetry": telemetry(), "spans": pl.DataFrame(schema=SPANS), "until": START + 9 * 24 * HOUR} | more
    frame = pl.DataFrame(anomalies, schema=ANOMALIES)
    return tell_incidents(IncidentInputs(frame, correlations or [], **options))  # type: ignore[arg-type]


def test_the_model_that_was_slowed_is_where_it_started_and_its_users_are_hurt() -> None:
    rows = [anomaly("a", "chat", "gpt-4"), anomaly("b", "search", "gpt-4", impact="medium")]
    (incident,) = told(rows, [correlation("anomaly", ["a", "b"])])
    assert incident.root_cause == "model gpt-4"
    assert incident.root_cause_confidence is not None
    assert incident.root_cause_confidence > 0.5
    first = incident.story["where"]["candidates"][0]
    assert first["path"] == ["service chat", "model gpt-4"]
    assert datetime.fromisoformat(first["onset"]) == START + STEP * SLOW.start
    assert incident.story["hurts"] == {
        "service": ["chat", "search"],
        "model": ["gpt-4"],
        "team": ["team chat", "team search"],
    }
    assert incident.severity == "high"
    assert not incident.is_open
    assert incident.story["next"][0].startswith("Look at model gpt-4 (")
    assert "most likely from model gpt-4" in incident.title


@pytest.mark.parametrize("only", ["chat", "search"])
def test_a_model_that_is_well_for_its_other_users_is_not_where_it_started(only: str) -> None:
    for seconds in (0.5, 4.0, 30.0):
        rows = [anomaly("a", only, "gpt-4"), anomaly("b", "", "gpt-4", impact="medium")]
        (incident,) = told(rows, [correlation("anomaly", ["a", "b"])], telemetry=telemetry(only=only, seconds=seconds))
        assert incident.root_cause == f"service {only}", seconds
        assert incident.root_cause_confidence is not None
        assert incident.root_cause_confidence > 0.9


def test_a_model_whose_other_users_are_too_few_to_tell_stays_suspected() -> None:
    quiet = (pl.col("service") == "search") & pl.col("at").is_between(START + STEP * 1900, START + STEP * 1960)
    rows = telemetry(only="chat").filter(~quiet)
    (incident,) = told([anomaly("a", "chat", "gpt-4")], telemetry=rows)
    assert incident.root_cause == "model gpt-4"


def test_costs_are_those_of_its_cost_impacts_and_say_whether_tokens_were_more_or_dearer() -> None:
    costs = {"cost_usd": 12.5, "volume_usd": 2.5, "rate_usd": 10.0}
    (incident,) = told([anomaly("a", "chat", "gpt-4")], [correlation("cost_impact", ["a", "b"], evidence=costs)])
    assert incident.cost_usd is not None
    assert float(incident.cost_usd) == 12.5
    assert any("12.50 USD" in step and "dearer" in step for step in incident.story["next"])


@pytest.mark.parametrize(
    ("cause", "look"), [("cache", "came from the cache"), ("model", "chose the model"), ("retry", "tried again")]
)
def test_what_it_cost_is_the_exact_sum_of_its_evidence_and_names_what_the_most_is_for(cause: str, look: str) -> None:
    one: Evidence = {"cost_usd": 0.1, "volume_usd": 0.1, "main_cause": "volume"}
    other: Evidence = {"cost_usd": 0.200001, f"{cause}_usd": 0.300001, "volume_usd": -0.1, "main_cause": cause}
    impacts = [correlation("cost_impact", ["a", name], evidence=e) for name, e in (("b", one), ("c", other))]
    (incident,) = told([anomaly("a", "chat", "gpt-4")], impacts)
    assert incident.cost_usd == Decimal("0.300001")
    assert incident.story["costs"] == {
        "cost_usd": 0.300001,
        "main_cause": cause,
        "volume_usd": 0.0,
        f"{cause}_usd": 0.300001,
    }
    assert any(look in step for step in incident.story["next"])


def test_what_shares_nothing_is_told_apart_and_what_is_slight_is_not_told() -> None:
    rows = [anomaly("a", "chat", "gpt-4"), anomaly("b", "mail", "haiku"), anomaly("c", "mail", "haiku", impact="low")]
    assert len(told(rows)) == 2
    assert told([anomaly("a", "chat", "gpt-4", impact="medium")]) == []
    usual = [
        correlation("temporal", ["1", "2"], member_type="series"),
        correlation("pattern_match", ["x", "y"], member_type="event"),
    ]
    assert told([], usual) == []


def test_tenants_never_meet_and_an_incident_keeps_its_id_while_it_grows() -> None:
    mine, theirs = anomaly("a", "chat", "gpt-4"), anomaly("b", "chat", "gpt-4", tenant="rival")
    one, other = told([mine, theirs])
    assert {one.tenant, other.tenant} == {"acme", "rival"}
    rival = one if one.tenant == "rival" else other
    assert rival.root_cause is None  # nothing was measured of that tenant
    assert "Too little was measured" in rival.story["where"]["why_none"]
    (before,) = told([mine])
    (after,) = told([mine, anomaly("z", "search", "gpt-4")], [correlation("anomaly", ["a", "z"])])
    assert before.incident_id == after.incident_id


def test_an_incident_of_events_alone_tells_which_to_read_first() -> None:
    found = correlation("security_incident", ["e1", "e2"], member_type="event", evidence={"worst_severity": "critical"})
    (incident,) = told([], [found])
    assert (incident.severity, incident.root_cause) == ("critical", None)
    assert any("/api/v1/events/e1" in step for step in incident.story["next"])


def test_an_incident_that_reaches_the_present_is_open() -> None:
    (incident,) = told([anomaly("a", "chat", "gpt-4")], until=START + STEP * SLOW.start + 2 * HOUR)
    assert incident.is_open


def test_who_calls_whom_comes_from_spans_operations_dimensions_and_last_from_links() -> None:
    at = START
    spans = pl.DataFrame(
        [
            ("acme", "1", None, "op", at, "web", ""),
            ("acme", "2", "1", "op", at, "search", ""),
            ("acme", "3", None, "op", at + STEP, "audit", ""),
            ("acme", "4", "2", None, at, "search", ""),
            ("acme", "5", "missing", None, at, "lost", ""),
        ],
        schema=SPANS,
        orient="row",
    )
    series = pl.DataFrame({"series_id": [1, 2], "service": ["web", "batch"], "model": ["", ""]})
    link = Correlation(
        uuid5(UUID(int=0), "l"),
        "acme",
        "temporal",
        at,
        at + HOUR,
        0.9,
        0.9,
        "Leads.",
        (Member("contributor", "series", "2", "latency_ms", at), Member("effect", "series", "1", "latency_ms", at)),
    )
    served = telemetry().select("tenant", "at", "service", "model", "requests", "latency", "failed_share").head(3)
    assert dependencies(served, spans, [link], series) == [
        ("service chat", "model gpt-4"),
        ("service web", "service audit"),
        ("service web", "service batch"),
        ("service web", "service search"),
    ]


def test_a_components_latency_is_the_mean_of_its_requests() -> None:
    rows = pl.DataFrame(
        {
            "tenant": "acme",
            "at": [START] * 3,
            "service": ["chat", "chat", "mail"],
            "model": ["gpt-4", "haiku", "haiku"],
            "requests": [1.0, 3.0, 4.0],
            "latency": [4.0, 0.0, None],
            "failed_share": [0.5, None, 0.25],
        }
    )
    found = {row["node"]: row for row in node_telemetry(rows).iter_rows(named=True)}
    assert found["service chat"]["latency"] == pytest.approx(1.0)
    assert found["service chat"]["failed_share"] == pytest.approx(0.5)
    assert found["model haiku"]["latency"] == pytest.approx(0.0)
    assert found["model haiku"]["requests"] == 7.0
    assert found["service mail"]["latency"] is None


def test_nothing_is_told_of_nothing() -> None:
    assert told([]) == []
