"""Ways through the call graph: what of an excess could have come from where."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence


def callees_of(calls: Iterable[tuple[str, str]], nodes: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Callees of each node, in order of name; calls of a node to itself and of unknown callers are passed over."""
    result: dict[str, set[str]] = {node: set() for node in nodes}
    for caller, callee in calls:
        if caller != callee:
            result.setdefault(caller, set()).add(callee)
            result.setdefault(callee, set())
    return {node: tuple(sorted(callees)) for node, callees in result.items()}


def widest_paths(
    callees: Mapping[str, Sequence[str]], width: Mapping[str, float], start: str
) -> dict[str, tuple[float, tuple[str, ...]]]:
    """For each node that `start` reaches, the path whose narrowest node is widest (then the shortest, then the first
    by name), and that width, the node's own included.

    Dijkstra's algorithm with minimum in place of sum (Pollack, Operations Research 8, 1960). A node without a width
    was not seen and lets everything through. Cycles do no harm: a path repeats no node.
    """
    limit = width.get(start, float("inf"))
    queue: list[tuple[float, int, tuple[str, ...]]] = [(-limit, 1, (start,))]
    found: dict[str, tuple[float, tuple[str, ...]]] = {}
    while queue:
        negative, length, path = heapq.heappop(queue)
        node = path[-1]
        if node in found:
            continue
        found[node] = (-negative, path)
        for callee in callees.get(node, ()):
            if callee not in found:
                narrow = min(-negative, width.get(callee, float("inf")))
                heapq.heappush(queue, (-narrow, length + 1, (*path, callee)))
    return found
