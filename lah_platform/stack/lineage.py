"""What Dagster has materialized, asked through its GraphQL API as the UI does."""

import json
import urllib.request
from typing import Any

__all__ = ["materialized_at"]

_QUERY = """
query Materializations {
  assetNodes { assetKey { path } isExecutable isObservable assetMaterializations(limit: 1) { timestamp } }
}
"""
_TIMEOUT_SECONDS = 20


def materialized_at(dagster_url: str) -> dict[str, float]:
    """When each asset was last materialized, in Unix seconds; 0.0 for never. OSError when the UI does not answer."""
    request = urllib.request.Request(
        f"{dagster_url}/graphql",
        data=json.dumps({"query": _QUERY}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
        answer: dict[str, Any] = json.load(response)
    found: dict[str, float] = {}
    for node in answer["data"]["assetNodes"]:
        name = "/".join(node["assetKey"]["path"])
        newest = max((float(each["timestamp"]) / 1000 for each in node["assetMaterializations"]), default=0.0)
        found[name] = max(newest, found.get(name, 0.0))  # a key is a node in each location that mentions it
    return found
