"""The price book as it is asked for: as of a day, by model and provider, with a tag, over REST and on the terminal."""

from pathlib import Path

import pytest
from api_support import NOW, Api

from lah_platform.stores.postgres import connect
from tests.cli.running import lah


@pytest.mark.parametrize(
    ("asked", "inputs"),
    [
        ({}, ["3.00000000", "5.00000000", "2.50000000"]),
        ({"on": "2025-12-31"}, ["5.00000000"]),
        ({"on": "2026-01-01"}, ["2.50000000"]),
        ({"on": "2026-01-31"}, ["3.00000000", "2.50000000"]),  # on which another model's price began
        ({"on": "2024-12-31"}, []),
        ({"model": "gpt-4o"}, ["5.00000000", "2.50000000"]),
        ({"provider": "anthropic", "on": "2026-02-01"}, ["3.00000000"]),
    ],
)
def test_prices_are_those_in_force_on_the_day_and_every_tenant_sees_the_same(
    served: Api, asked: dict[str, str], inputs: list[str]
) -> None:
    answers = [
        served.client(tenant, "viewer").get("/api/v1/prices", params=asked) for tenant in ("acme", "globex", "*")
    ]
    assert [[row["input_usd_per_mtok"] for row in answer.json()["items"]] for answer in answers] == 3 * [inputs]


def test_prices_come_page_by_page_each_once(served: Api) -> None:
    client, found, cursor = served.client("acme", "viewer"), [], {}
    while True:
        page = client.get("/api/v1/prices", params={"limit": 1} | cursor).json()
        found += [(row["model"], row["valid_from"]) for row in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert found == sorted(set(found))
    assert len(found) == 3


def test_an_answer_about_prices_stands_until_one_changes(seeded: Api) -> None:
    client = seeded.client("acme", "viewer")
    first = client.get("/api/v1/prices", params={"on": "2026-01-31"})
    known = {"If-None-Match": first.headers["etag"]}
    assert client.get("/api/v1/prices", params={"on": "2026-01-31"}, headers=known).status_code == 304
    with connect(seeded.url) as connection:
        connection.execute(
            "update prices set output_usd_per_mtok = 11 where valid_to = 'infinity' and model = 'gpt-4o'"
        )
    again = client.get("/api/v1/prices", params={"on": "2026-01-31"}, headers=known)
    assert (again.status_code, again.json()["items"][1]["output_usd_per_mtok"]) == (200, "11.00000000")


def test_the_terminal_shows_the_same(seeded: Api, tmp_path: Path) -> None:
    shown = lah(seeded.url, tmp_path, "prices", "list", "--on", f"{NOW:%Y-%m-%d}", "--model", "gpt-4o").stdout
    assert shown.splitlines()[1].split()[:2] == ["gpt-4o", "openai"]
    assert {"2.5", "1.25", "10"} <= set(shown.split())
    refused = lah(seeded.url, tmp_path, "prices", "list", "--on", "yesterday")
    assert (refused.returncode, "2026-11-01" in refused.stderr) == (1, True)
