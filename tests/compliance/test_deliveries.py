"""A document arrives as it is stored, however often the way there fails, and nobody has to wonder whether it did."""

import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lah_platform.compliance.delivery import (
    LEASE,
    MOST_ATTEMPTS,
    DeliveryFailed,
    Parcel,
    Target,
    delivery_id,
    is_webhook_signed,
    wait_after,
)
from lah_platform.compliance.detached import ReportKey
from lah_platform.compliance.schedules import TargetSettings
from lah_platform.compliance.signing import Signer
from lah_platform.stores.deliveries import (
    Delivery,
    ask_delivery,
    deliver_again,
    deliver_due,
    due_stamp,
    list_deliveries,
    summary,
)
from lah_platform.stores.delivery_targets import make_targets
from lah_platform.stores.postgres import Connection, connect
from lah_platform.stores.report_runs import write_report
from tests.compliance.receiver import receiving

_AT = datetime(2026, 3, 6, 4, 30, tzinfo=UTC)
_SIGNER = Signer(base64.b64encode(bytes(range(32))).decode())
_BODIES = {"json": b'{"a": 1}\n', "pdf": b"%PDF-1.7\x00\xff\r\n", "signature": b"{}"}


@dataclass
class Clock:
    now: datetime = _AT

    def __call__(self) -> datetime:
        return self.now


def _report(connection: Connection, tenant: str = "acme") -> UUID:
    key = ReportKey(f"soc2_{secrets.token_hex(4)}", tenant, "*", f"{date(2026, 2, 1)}", f"{date(2026, 3, 1)}")
    return write_report(
        connection,
        key,
        revision=1,
        supersedes=None,
        changes=[],
        content={},
        documents=_BODIES,
        generated_at=_AT,
        requested_by="test",
    )


def _ask(connection: Connection, report_id: UUID, kind: str = "webhook", documents: tuple[str, ...] = ("pdf",)) -> None:
    ask_delivery(connection, report_id, documents, target="there", kind=kind, now=_AT)


def _deliver(
    connection: Connection, clock: Clock, environment: dict[str, str] | None = None, **settings: object
) -> tuple[int, int]:
    target = TargetSettings(**settings)  # type: ignore[arg-type]
    targets = make_targets({"there": target}, _SIGNER, environment or {})
    return deliver_due(connection, targets, actor="test", clock=clock)


def _only(connection: Connection) -> Delivery:
    (found,) = list_deliveries(connection)
    return found


def test_a_webhook_that_fails_gets_the_stored_bytes_in_the_end_under_one_key_and_signed(connection: Connection) -> None:
    _ask(connection, _report(connection))
    clock, key = Clock(), _SIGNER.public_key
    with receiving(
        (500, {}), None, (429, {"retry-after": "7200"}), (302, {"location": "http://127.0.0.1:1/"})
    ) as there:
        for attempt, why in enumerate(["answered 500", "no answer", "answered 429", "answered 302", None], 1):
            assert _deliver(connection, clock, webhook=there.url) == ((0, 1) if why else (1, 0))
            found = _only(connection)
            assert found.attempts == attempt
            assert _deliver(connection, clock, webhook=there.url) == (0, 0)  # before its time nothing is sent
            if why is not None:
                assert found.last_error is not None
                assert found.last_error.startswith(why)
                assert found.next_attempt_at is not None
                asked = timedelta(hours=2) if "429" in why else None
                assert found.next_attempt_at - clock.now == wait_after(attempt, asked)
                clock.now = found.next_attempt_at
    assert (found.state, found.delivered_at, found.last_error) == ("delivered", clock.now, None)
    assert [body for _, body in there.received] == [_BODIES["pdf"]] * 5
    headers = [headers for headers, _ in there.received]
    assert {each["idempotency-key"] for each in headers} == {each["webhook-id"] for each in headers}
    assert {each["idempotency-key"] for each in headers} == {str(found.delivery_id)}
    assert headers[-1]["content-type"] == "application/pdf"
    for each, body in there.received:
        assert is_webhook_signed(key, each, body)
        assert not is_webhook_signed(key, each, body + b" ")
        assert not is_webhook_signed(key, {**each, "webhook-timestamp": "1"}, body)


def test_a_redirect_is_not_followed_and_no_error_says_the_address(connection: Connection) -> None:
    _ask(connection, _report(connection))
    clock = Clock()
    with receiving() as elsewhere, receiving((307, {"location": elsewhere.url})) as there:
        assert _deliver(connection, clock, webhook=there.url) == (0, 1)
        assert elsewhere.received == []
    clock.now += timedelta(days=1)
    gone = there.url  # nobody listens there any more
    assert _deliver(connection, clock, webhook_from="HOOK", environment={"HOOK": gone}) == (0, 1)
    found = _only(connection)
    assert found.last_error is not None
    assert "no answer" in found.last_error
    assert "s3cret-path" not in found.last_error


def test_secrets_come_from_the_environment_and_are_said_to_be_missing_by_name(connection: Connection) -> None:
    _ask(connection, _report(connection))
    clock = Clock()
    with receiving() as there:
        settings = {"webhook_from": "HOOK", "secret_headers": {"Authorization": "HOOK_TOKEN"}}
        assert _deliver(connection, clock, environment={"HOOK": there.url}, **settings) == (0, 1)
        assert _only(connection).last_error == "HOOK_TOKEN is not set in the environment"
        clock.now += timedelta(days=1)
        environment = {"HOOK": there.url, "HOOK_TOKEN": "Bearer x"}
        assert _deliver(connection, clock, environment=environment, **settings) == (1, 0)
    ((headers, _),) = there.received
    assert headers["authorization"] == "Bearer x"
    refused = {"HOOK": "http://elsewhere.example/x"}
    _ask(connection, _report(connection))
    assert _deliver(connection, clock, environment=refused, webhook_from="HOOK") == (0, 1)
    assert "https" in (list_deliveries(connection, only_missing=True)[0].last_error or "")


@pytest.mark.parametrize("kind", ["folder", "store"])
def test_a_folder_and_an_object_store_hold_the_stored_bytes_whatever_the_tenant_is_called(
    connection: Connection, tmp_path: Path, kind: str
) -> None:
    inside = tmp_path / "inside" / "deeper"
    inside.mkdir(parents=True)
    names = ("acme", "*", "../../outside", "a/b\\c\n\x7f", "é" * 40, ".")
    for tenant in names:
        _ask(connection, _report(connection, tenant), kind, ("pdf", "json", "signature"))
    settings = {"folder": str(inside)} if kind == "folder" else {"store": inside.as_uri()}
    assert _deliver(connection, Clock(), **settings) == (3 * len(names), 0)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.parent for path in files} == {inside}
    assert sorted(path.read_bytes() for path in files) == sorted([*_BODIES.values()] * len(names))


def test_a_folder_that_cannot_be_written_is_a_failed_attempt(connection: Connection, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    _ask(connection, _report(connection), "folder")
    assert _deliver(connection, Clock(), folder=str(tmp_path / "file")) == (0, 1)
    assert "cannot be written" in (_only(connection).last_error or "")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


class Crash(BaseException):
    """The process ends here."""


@dataclass
class Scripted:
    """A target that does as the script says: takes it (ok), refuses (no), or takes it and the process dies (crash)."""

    script: list[str]
    taken: list[Parcel] = field(default_factory=list)
    during: Callable[[], object] | None = None

    def send(self, parcel: Parcel, *, now: datetime) -> None:  # noqa: ARG002
        step = self.script.pop(0) if self.script else "ok"
        if self.during is not None:
            self.during()
        if step == "no":
            raise DeliveryFailed("no")
        self.taken.append(parcel)
        if step == "crash":
            raise Crash


def _targets(target: Target) -> dict[str, Callable[[], Target]]:
    return {"there": lambda: target}


@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(script=st.lists(st.sampled_from(["ok", "no", "crash"]), max_size=12))
def test_whatever_fails_and_whenever_a_process_dies_it_arrives_or_is_given_up_and_all_is_told(
    connection: Connection, script: list[str]
) -> None:
    report_id = _report(connection)
    ask_delivery(connection, report_id, ["pdf"], target="there", kind="webhook", now=_AT)
    target, clock, steps = Scripted(list(script)), Clock(), 0
    while (found := next(each for each in list_deliveries(connection) if each.report_id == report_id)).next_attempt_at:
        assert due_stamp(connection, now=found.next_attempt_at - timedelta(seconds=1)) is None
        clock.now, steps = found.next_attempt_at, steps + 1
        try:
            deliver_due(connection, _targets(target), actor="test", clock=clock)
        except Crash:
            crashed = next(each for each in list_deliveries(connection) if each.report_id == report_id)
            assert crashed.state == "sending"
            assert crashed.next_attempt_at == clock.now + LEASE
        assert steps <= len(script) + 1
    done = [*script, "ok"][:steps]
    assert found.attempts == steps
    assert found.state == ("delivered" if done[-1] == "ok" else "failed")
    assert (found.state == "failed") == (done[-1] == "no" and steps >= MOST_ATTEMPTS)
    assert len(target.taken) == sum(step != "no" for step in done)
    assert {(each.delivery_id, each.body) for each in target.taken} <= {(found.delivery_id, _BODIES["pdf"])}


def test_two_processes_at_once_send_each_document_once(connection: Connection, database: str) -> None:
    report_id = _report(connection)
    _ask(
        connection, report_id, documents=("pdf", "json")
    )  # the second one is sent while the first process is at its first
    target, clock = Scripted([]), Clock()
    with connect(database) as other:
        target.during = lambda: deliver_due(other, _targets(target), actor="other", clock=clock)
        assert deliver_due(connection, _targets(target), actor="test", clock=clock) == (1, 0)
    assert {each.body for each in target.taken} == {_BODIES["pdf"], _BODIES["json"]}
    assert len(target.taken) == 2
    again = {delivery_id(report_id, document, "there") for document in ("pdf", "json")}
    assert {each.delivery_id for each in target.taken} == again


def test_what_was_given_up_is_told_and_tried_again_when_somebody_says_so(connection: Connection) -> None:
    report_id, clock = _report(connection), Clock()
    _ask(connection, report_id)
    _ask(connection, report_id)  # asked twice, delivered once
    for _ in range(MOST_ATTEMPTS):
        deliver_due(connection, _targets(Scripted(["no"])), actor="test", clock=clock)
        clock.now += timedelta(days=2)
    found = _only(connection)
    assert (found.state, found.attempts, found.last_error) == ("failed", MOST_ATTEMPTS, "no")
    assert (summary(connection).failed, summary(connection).oldest_missing_at) == (1, _AT)
    assert not deliver_again(connection, uuid4(), actor="ann", now=clock.now)
    assert deliver_again(connection, found.delivery_id, actor="ann", now=clock.now)
    assert deliver_due(connection, _targets(Scripted([])), actor="test", clock=clock) == (1, 0)
    assert not deliver_again(connection, found.delivery_id, actor="ann", now=clock.now)
    assert (summary(connection).delivered, summary(connection).failed) == (1, 0)
    steps = connection.execute(
        "select actor, action from audit_log where object_type = 'delivery' and object_id = %s order by position",
        [str(found.delivery_id)],
    ).fetchall()
    assert steps == [("test", "give up"), ("ann", "retry"), ("test", "deliver")]


def test_a_target_that_is_no_longer_configured_is_a_failed_attempt(connection: Connection) -> None:
    _ask(connection, _report(connection))
    assert deliver_due(connection, {}, actor="test", clock=Clock()) == (0, 1)
    assert _only(connection).last_error == "there is no target there in LAH_REPORT_SCHEDULES"
