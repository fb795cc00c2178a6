"""Where an incident started: the components whose own excess explains what hurts, with the path from it.

Pure: frames in, rankings out. Reading rollups, spans and events belongs to stores; incidents are told by
`correlations/story.py`.
"""

from lah_platform.root_cause.model import Candidate, Ranking, Target
from lah_platform.root_cause.rank import rank_root_causes

__all__ = ["Candidate", "Ranking", "Target", "rank_root_causes"]
