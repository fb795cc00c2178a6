"""Ways through the call graph: over which callees an excess most likely came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


def callees_of(calls: Iterable[tuple[str, str]], nodes: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Callees of each node, in order of name; a node that calls itself does not depend on itself."""
    result: dict[str, set[str]] = {node: set() for node in nodes}
    for caller, callee in calls:
        result.setdefault(caller, set())
        result.setdefault(callee, set())
        if caller != callee:
            result[caller].add(callee)
    return {node: tuple(sorted(callees)) for node, callees in result.items()}


def heaviest_paths(
    callees: Mapping[str, Sequence[str]], weight: Mapping[str, float], start: str, most_calls: int = 16
) -> dict[str, tuple[float, tuple[str, ...]]]:
    """For each node reached from `start`, the greatest sum of weights found on a path without repetition, `start` not
    counted, and that path.

    Rounds of relaxation as Bellman and Ford's, at most `most_calls` of them and no path longer; exact on graphs
    without cycles, and on others a path that holds, if not always the heaviest. A node without a weight counts nothing.
    """
    found: dict[str, tuple[float, tuple[str, ...]]] = {start: (0.0, (start,))}
    fresh = [start]
    for _ in range(most_calls):
        improved: dict[str, None] = {}
        for node in fresh:
            total, path = found[node]
            for callee in callees.get(node, ()):
                reached = total + weight.get(callee, 0.0)
                if callee not in path and (callee not in found or reached > found[callee][0] + 1e-12):
                    found[callee] = (reached, (*path, callee))
                    improved[callee] = None
        fresh = list(improved)
    return found
