"""Everything the traces do not hold, from one seeded model whose events all carry the tag synthetic: "true"."""

from lah_platform.replay.scene import Scene
from lah_platform.replay.synthetic_governance import governance_units
from lah_platform.replay.synthetic_security import security_units
from lah_platform.replay.synthetic_service import service_units
from lah_platform.replay.synthetic_spend import spend_units
from lah_platform.replay.thinning import Unit

__all__ = ["SCENARIOS", "synthetic_units"]

# What a signal can truly find; each one's events carry its name in the tag "scenario".
SCENARIOS = ("latency-degradation", "cost-spike", "prompt-injection-campaign", "data-exfiltration")


def synthetic_units(scene: Scene) -> list[Unit]:
    """Ten days of service latency, spending, security and governance of two tenants, ending at the scene's end."""
    return service_units(scene) + spend_units(scene) + security_units(scene) + governance_units(scene)
