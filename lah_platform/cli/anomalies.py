"""Commands on anomalies: say that one was nothing, when not to look, and what cannot be judged yet."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import typer

from lah_platform.errors import ConfigurationError
from lah_platform.settings import settings

__all__ = ["anomalies"]

_ACTOR = "lah anomalies"
_HISTORY = timedelta(days=28)
anomalies = typer.Typer(
    help="What is to be thought of anomalies: dismissals, maintenance, learning.", no_args_is_help=True
)


@anomalies.command("dismiss")
def _dismiss(
    anomaly_id: Annotated[str, typer.Argument(help="The anomaly's id, as GET /api/v1/anomalies has it.")],
    note: Annotated[str, typer.Option(help="Why it was nothing.")] = "",
) -> None:
    """Call an anomaly nothing: the next of its series, metric and type score half, unless they are far greater.

    Example: lah anomalies dismiss fd84ffeb-39a4-5459-93e5-d12c2ad78f20 --note "load test"
    """
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.anomaly_feedback import dismiss
    from lah_platform.stores.postgres import connect

    try:
        asked = UUID(anomaly_id)
    except ValueError:
        raise ConfigurationError(f"{anomaly_id!r} is no anomaly's id", "Copy one from GET /api/v1/anomalies") from None
    with connect(database_url(settings())) as connection:
        try:
            said = dismiss(connection, asked, tenant="*", actor=_ACTOR, note=note)
        except LookupError as error:
            raise ConfigurationError(str(error).capitalize(), "Copy an id from GET /api/v1/anomalies") from None
    print(f"dismissed {said['anomaly_type']} of {said['metric']} of {said['started_at']:%Y-%m-%d %H:%M}Z")


@anomalies.command("maintenance")
def _maintenance(
    from_: Annotated[str | None, typer.Option("--from", help="First moment (UTC), such as 2026-11-01T22:00.")] = None,
    to: Annotated[str | None, typer.Option("--to", help="End (UTC), not included.")] = None,
    tenant: Annotated[str, typer.Option(help="Whose series; *: everyone's.")] = "*",
    model: Annotated[str | None, typer.Option(help="Series of this model only.")] = None,
    reason: Annotated[str, typer.Option(help="What is done.")] = "",
    remove: Annotated[int | None, typer.Option(help="Take this one back, by its number.")] = None,
) -> None:
    """Enter a time in which no anomaly begins; without --from and --to, list those that are to come or just were.

    Example: lah anomalies maintenance --from 2026-11-01T22:00 --to 2026-11-02T02:00 --reason "new cluster"
    """
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.anomaly_feedback import add_maintenance, maintenance_listed, remove_maintenance
    from lah_platform.stores.postgres import connect

    with connect(database_url(settings())) as connection:
        if remove is not None:
            if not remove_maintenance(connection, remove, tenant="*", actor=_ACTOR):
                raise ConfigurationError(f"There is no maintenance {remove}", "List them: lah anomalies maintenance")
            print(f"maintenance {remove} taken back; days that are computed already change when computed again")
            return
        if from_ is None and to is None:
            for each in maintenance_listed(connection, datetime.now(UTC) - timedelta(days=7)):
                span = f"{each['starts_at']:%Y-%m-%d %H:%M}Z to {each['ends_at']:%Y-%m-%d %H:%M}Z"
                print(f"{each['maintenance_id']:>6} {span} {each['tenant']} {each['model'] or '*'} {each['reason']}")
            return
        start, end = _moment(from_, "--from"), _moment(to, "--to")
        made = add_maintenance(connection, start, end, tenant=tenant, model=model, reason=reason, actor=_ACTOR)
    print(f"maintenance {made['maintenance_id']}; days that are computed already change when they are computed again")


@anomalies.command("learning")
def _learning() -> None:
    """Series and metrics that are too new to be judged, and how many hours they lack.

    Example: lah anomalies learning
    """
    from lah_platform.anomalies.config import DEFAULT
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.anomaly_feedback import learning
    from lah_platform.stores.postgres import connect

    now = datetime.now(UTC)
    with connect(database_url(settings())) as connection:
        rows = learning(connection, now - _HISTORY, now, DEFAULT.min_history)
    for row in rows:
        series = " ".join(str(row[name]) for name in ("tenant", "event_type", "subtype", "model") if row[name])
        missing = DEFAULT.min_history + 1 - row["hours"]
        print(f"{series} {row['metric']}: learning, {row['hours']} hours known, {missing} to go")
    if not rows:
        print("Every series of the last 28 days is judged")


def _moment(text: str | None, option: str) -> datetime:
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        raise ConfigurationError(f"{option} is not a time: {text!r}", "Write it as 2026-11-01T22:00") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
