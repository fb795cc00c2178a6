"""Health, readiness and numbers: true also when something is missing."""

from typing import Any

import pytest
from api_support import NOW, Api, TestClient
from prometheus_client.parser import text_string_to_metric_families
from psycopg_pool import ConnectionPool

from lah_platform.stores.broker_health import BrokerHealth
from lah_platform.stores.embedded.broker import EmbeddedBroker
from lah_platform.stores.embedded.ports import unused_port
from lah_platform.stores.kafka import ensure_topic
from lah_platform.stores.postgres import connect


def _numbers(api: Api, tenant: str) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
    answer = api.client(tenant, "viewer").get("/metrics/prometheus")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        family.name: {frozenset(sample.labels.items()): sample.value for sample in family.samples}
        for family in text_string_to_metric_families(answer.text)
    }


@pytest.fixture
def dead_pool() -> Any:
    pool = ConnectionPool(
        f"postgresql://nobody@127.0.0.1:{unused_port()}/none", min_size=0, max_size=2, open=True, timeout=0.2
    )
    yield pool
    pool.close()


def test_the_process_is_alive_and_ready_when_everything_is_there(api: Api) -> None:
    assert api.client(None).get("/health").json() == {"status": "alive"}
    answer = api.client(None).get("/ready")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "reasons": []})


def test_without_a_database_the_process_is_alive_but_not_ready(api: Api, dead_pool: Any) -> None:
    client = api.changed(pool=dead_pool).client(None)
    assert client.get("/health").status_code == 200
    answer = client.get("/ready")
    assert (answer.status_code, answer.json()["reasons"]) == (503, ["the database does not answer"])


def test_without_a_database_every_question_is_answered_with_when_to_come_back(api: Api, dead_pool: Any) -> None:
    answer = api.changed(pool=dead_pool).client("acme").get("/api/v1/costs")
    assert (answer.status_code, answer.json()["type"]) == (503, "/docs#unavailable")
    assert int(answer.headers["retry-after"]) > 0


def test_a_schema_that_is_behind_is_not_ready_and_says_what_to_do(api: Api) -> None:
    with connect(api.url) as connection:
        connection.execute("delete from schema_migrations where version = 3")
    answer = api.client(None).get("/ready")
    assert answer.status_code == 503
    (reason,) = answer.json()["reasons"]
    assert "0003_served" in reason
    assert "lah migrate" in reason


def test_a_broker_that_is_away_or_has_no_topic_is_not_ready(api: Api, broker: EmbeddedBroker) -> None:
    ensure_topic(broker.bootstrap, "test.api.ready", 1)
    for bootstrap, topic, reasons in (
        (broker.bootstrap, "test.api.ready", []),
        (broker.bootstrap, "test.api.absent", ["the broker has no topic test.api.absent"]),
        (f"127.0.0.1:{unused_port()}", "test.api.ready", ["the broker does not answer"]),
    ):
        client = api.changed(broker_fault=BrokerHealth(bootstrap, topic).fault).client(None)
        assert client.get("/ready").json() == {"ready": not reasons, "reasons": reasons}


def test_a_query_that_takes_too_long_says_so(seeded: Api) -> None:
    with connect(seeded.url) as connection:
        # a view that sleeps stands in for a table that is too large
        connection.execute("drop view metrics_1m cascade")
        connection.execute("create view metrics_1m as select m.* from metrics_5m m, pg_sleep(30)")
    with ConnectionPool(
        seeded.url,
        kwargs={"autocommit": True, "options": "-c search_path=lah,public -c statement_timeout=200"},
        open=True,
    ) as pool:
        client = seeded.changed(pool=pool).client("acme")
        asked = {"window": "1m", "metric": "latency_ms", "from": "2026-01-31T00:00:00Z"}
        answer = client.get("/api/v1/metrics", params=asked)
    assert (answer.status_code, answer.json()["type"]) == (504, "/docs#query-timeout")


def test_a_bug_is_a_problem_that_tells_nothing_but_where_to_look(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    with connect(api.url) as connection:
        connection.execute("drop table cost_daily cascade")
    client = TestClient(api.app, raise_server_exceptions=False)
    answer = client.get("/api/v1/costs", headers={"X-API-Key": api.keys["acme", "viewer"]})
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "cost_daily" not in answer.text
    assert answer.json()["instance"].removeprefix("urn:uuid:") in caplog.text


def test_prometheus_gets_the_ledger_the_dead_letters_and_how_far_behind_everything_is(seeded: Api) -> None:
    with connect(seeded.url) as connection:
        connection.execute("update rollup_state set final_before = %s, ticked_at = %s", [NOW.replace(hour=11), NOW])
        connection.execute("update landing_offsets set caught_up_at = %s", [NOW.replace(hour=10)])
        stored: dict[str, float] = dict(
            connection.execute("select tenant, sum(stored)::float8 from ledger group by tenant").fetchall()
        )
        pending: dict[str, float] = dict(
            connection.execute(
                "select tenant, count(*)::float8 from rollup_partials join series using (series_id) group by tenant"
            ).fetchall()
        )
    for asked, tenants in (("*", ["acme", "globex"]), ("acme", ["acme"])):
        numbers = _numbers(seeded, asked)
        rest = {("topic", "rest")}
        assert numbers["lah_records"] == {
            frozenset(rest | {("tenant", tenant), ("outcome", outcome)}): count
            for tenant in tenants
            for outcome, count in (("received", stored[tenant] + 1), ("stored", stored[tenant]), ("duplicate", 0.0))
        }
        assert numbers["lah_records_dead_lettered"] == {
            frozenset(rest | {("tenant", tenant)}): 1.0 for tenant in tenants
        }
        assert numbers["lah_dead_letters"] == {
            frozenset({("tenant", tenant), ("code", "invalid_field")}): 1.0 for tenant in tenants
        }
        assert numbers["lah_rollup_partials_pending"] == {
            frozenset({("tenant", tenant)}): pending[tenant] for tenant in tenants
        }
        assert numbers["lah_rollup_watermark_age_seconds"] == {frozenset(): 3600.0}
        assert numbers["lah_rollup_tick_age_seconds"] == {frozenset(): 0.0}
        assert numbers["lah_landing_lag_seconds"] == {frozenset(rest | {("partition", "0")}): 7200.0}


def test_numbers_that_are_not_known_yet_are_left_out(api: Api) -> None:
    numbers = _numbers(api, "*")
    assert "lah_rollup_watermark_age_seconds" not in numbers
    assert numbers["lah_records"] == {}
