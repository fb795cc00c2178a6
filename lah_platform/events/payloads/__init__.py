"""The payload catalog: which struct reads which (payload_type, subtype). The structs are in the modules beside."""

from typing import Literal, get_args

import msgspec

from lah_platform.events.payloads.cost import CostData
from lah_platform.events.payloads.custom import Custom
from lah_platform.events.payloads.governance import GovernanceData
from lah_platform.events.payloads.security import SecurityData
from lah_platform.events.payloads.telemetry import TelemetryData

PayloadType = Literal["telemetry", "security", "cost", "governance", "custom"]

Payload = TelemetryData | SecurityData | CostData | GovernanceData | Custom

CUSTOM = "custom"

TAG_FIELD: dict[str, str] = {
    "telemetry": "telemetry_type",
    "security": "security_type",
    "cost": "cost_type",
    "governance": "governance_type",
    CUSTOM: "custom_type",
}
"""The field of `payload.data` that names the subtype, by payload_type."""

_UNIONS = {
    "telemetry": get_args(TelemetryData),
    "security": get_args(SecurityData),
    "cost": get_args(CostData),
    "governance": get_args(GovernanceData),
}

STRUCTS: dict[str, dict[str, type[msgspec.Struct]]] = {
    payload_type: {str(struct.__struct_config__.tag): struct for struct in structs}
    for payload_type, structs in _UNIONS.items()
}
"""payload_type -> subtype -> struct. `custom` is absent: its subtype is whatever the producer says."""

SUBTYPE_OF: dict[type[msgspec.Struct], str] = {
    struct: subtype for structs in STRUCTS.values() for subtype, struct in structs.items()
}

PAYLOAD_TYPE_OF: dict[str, str] = {
    subtype: payload_type for payload_type, structs in STRUCTS.items() for subtype in structs
}
"""The payload_type a subtype belongs to; subtypes are unique over the whole catalog."""

DATA_TYPE: dict[str, object] = {
    "telemetry": TelemetryData,
    "security": SecurityData,
    "cost": CostData,
    "governance": GovernanceData,
    CUSTOM: Custom,
}
"""What `payload.data` decodes to, by payload_type."""
