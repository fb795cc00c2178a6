"""Anomalies, incidents and forecasts over REST: found by their own words, told as stories, summed up to a limit."""

from collections.abc import Callable
from typing import Any

import pytest
from api_support import Api

from api.examples import INCIDENT_ID

Get = Callable[..., Any]
DAY = {"from": "2026-01-31T00:00:00Z", "to": "2026-02-01T00:00:00Z"}


def test_signals_are_filtered_by_their_own_words(get: Get) -> None:
    assert len(get("/api/v1/anomalies", type="spike", impact="medium", window="1h")["items"]) == 1
    assert get("/api/v1/anomalies", impact="critical")["items"] == []
    assert get("/api/v1/anomalies", window="1M")["items"] == []
    assert len(get("/api/v1/forecasts", method="combination", metric="latency_ms")["items"]) == 1
    assert get("/api/v1/forecasts", method="naive")["items"] == []
    (chain,) = get("/api/v1/correlations", type="causal_chain", min_strength=0.8, min_confidence=0.9)["items"]
    assert [(member["role"], member["metric"]) for member in chain["members"]] == [
        ("root_cause", "latency_ms"),
        ("effect", "cost_usd"),
    ]
    assert get("/api/v1/correlations", min_strength=0.81)["items"] == []
    assert len(get("/api/v1/incidents", severity="medium", is_open=False)["items"]) == 1
    assert get("/api/v1/incidents", severity="critical")["items"] == []
    assert get("/api/v1/incidents", is_open=True)["items"] == []


def test_an_incident_tells_where_it_started_whom_it_hurts_and_what_it_costs(get: Get) -> None:
    incident = get(f"/api/v1/incidents/{INCIDENT_ID}")
    assert incident["root_cause"] == "model gpt-4o"
    assert incident["cost_usd"] == "1.500000000000"
    (candidate,) = incident["story"]["where"]["candidates"]
    assert candidate["path"] == ["service chat", "model gpt-4o"]
    assert incident["story"]["hurts"]["team"] == ["search"]
    assert incident["story"]["costs"] == {
        "cost_usd": 1.5,
        "main_cause": "cache",
        "volume_usd": 0.5,
        "cache_usd": 1.0,
    }
    assert incident["story"]["next"] == ["Look at model gpt-4o (90%)"]
    assert [member["member_type"] for member in incident["members"]] == ["anomaly"]


def test_an_outlook_adds_what_there_was_and_says_when_a_budget_is_reached(get: Get) -> None:
    asked = {"metric": "cost_usd", "from": "2026-01-31T00:00:00Z", "to": "2026-02-01T00:00:00Z"}
    likely = get("/api/v1/forecasts/outlook", limit=4, **asked)
    assert likely["total"]["lower_80"] < likely["total"]["median"] < likely["total"]["upper_80"]
    assert likely["summed"] == [{"tenant": "acme", "series": 1}]
    assert likely["likely"] == likely["reached_by"][0]["target_start"]
    assert likely["probability"] > 0.9
    assert get("/api/v1/forecasts/outlook", limit=6.5, **asked)["probability"] < 0.1
    doubled = get("/api/v1/forecasts/outlook", limit=6.5, growth=1.5, price=1.4, **asked)
    assert doubled["probability"] > 0.9
    assert doubled["total"]["median"] == pytest.approx(2.1 * likely["total"]["median"])


def test_forecasts_tell_what_if_and_how_they_came_out(get: Get) -> None:
    (cost,) = get("/api/v1/forecasts", metric="cost_usd", growth=2, price=0.5)["items"]
    assert (cost["value"], cost["lower_80"], cost["upper"]) == (5, 4.5, 6)
    (latency,) = get("/api/v1/forecasts", metric="latency_ms", growth=2)["items"]
    assert latency["value"] == 5
    models = get("/api/v1/forecasts/models", metric="cost_usd")["items"]
    assert [(model["is_forecastable"], model["judged_buckets"]) for model in models] == [(True, 0)]


def test_an_outlook_sums_no_latencies_and_says_how_far_it_sees(served: Api, get: Get) -> None:
    asked: dict[str, Any] = {"metric": "latency_ms", "window": "1h", "limit": 5, "to": "2026-03-01T00:00:00Z"}
    refused = served.client("acme", "viewer").get("/api/v1/forecasts/outlook", params=asked)
    assert refused.status_code == 422
    assert "does not add up over time" in refused.json()["detail"]
    one = get("/api/v1/forecasts/outlook", kind="value", **asked)
    assert 0.3 < one["probability"] < 0.7
    assert one["forecast_until"] < one["to"]
    several = served.client("*", "viewer").get("/api/v1/forecasts/outlook", params=asked | {"kind": "value"})
    assert several.status_code == 422
    assert "several series" in several.json()["detail"]


def test_no_forecast_no_outlook(served: Api) -> None:
    answer = served.client("acme", "viewer").get("/api/v1/forecasts/outlook", params={"metric": "score", "limit": 1})
    assert answer.status_code == 404
    assert "no forecast of score" in answer.json()["detail"]
