"""Governance, model quality and custom events over ten days: seeded, as no trace holds them."""

from lah_platform.replay.chains import Chain
from lah_platform.replay.models import MODELS
from lah_platform.replay.scene import DAY_US, HOUR_US, MINUTE_US, SECOND_US, Scene, synthetic
from lah_platform.replay.thinning import Unit
from lah_platform.replay.wire import Source

__all__ = ["governance_units"]

_TENANTS = ("acme", "globex")
_CONTROLS = {
    "SOC2": ("CC6.1", "CC6.6", "CC7.2", "CC8.1"),
    "GDPR": ("Art. 5", "Art. 30", "Art. 32", "Art. 33"),
    "HIPAA": ("164.308(a)(1)", "164.312(a)(1)", "164.312(b)", "164.312(e)(1)"),
}
_CHANGES_PER_HOUR = 1.5
_FEEDBACK_PER_HOUR = 1.0
_FAILING_CONTROLS = 0.02


def governance_units(scene: Scene) -> list[Unit]:
    """compliance_check, audit_trail, data_lineage, model_performance and custom events of both tenants."""
    units: list[Unit] = []
    for tenant in _TENANTS:
        source = synthetic(
            "llm-governance-dashboard",
            tenant=tenant,
            region="eu-west",
            service="governance",
            team="compliance",
            version="1.1.0",
        )
        units += _checks(scene, tenant, source) + _changes(scene, tenant, source)
        registry = source._replace(module="llm-registry")
        units += _lineage(scene, tenant, registry) + _performance(scene, tenant, registry)
        units += _feedback(scene, tenant, source._replace(module="llm-analytics-hub"))
    return units


def _checks(scene: Scene, tenant: str, source: Source) -> list[Unit]:
    """Every framework once a day."""
    rng = scene.rng(f"checks {tenant}")
    units = []
    for day, day_us in enumerate(range(scene.start_us + 6 * HOUR_US, scene.end_us, DAY_US)):
        for number, (framework, controls) in enumerate(_CONTROLS.items()):
            statuses = {control: "fail" if rng.random() < _FAILING_CONTROLS else "pass" for control in controls}
            chain = Chain(scene, source, f"check {tenant} {framework} {day}")
            chain.compliance_check(day_us + number * MINUTE_US, framework, statuses)
            units.append(Unit(f"checks {tenant}", chain.events))
    return units


def _changes(scene: Scene, tenant: str, source: Source) -> list[Unit]:
    rng = scene.rng(f"changes {tenant}")
    actions = ("update_policy", "grant_role", "rotate_key", "approve_model", "export_report")
    units = []
    for number, at_us in enumerate(scene.moments(f"changes {tenant}", _CHANGES_PER_HOUR)):
        data: dict[str, object] = {
            "action": actions[int(rng.integers(len(actions)))],
            "actor": f"user-{int(rng.integers(1, 60)):03d}",
            "resource_type": "policy",
            "resource_id": f"policy-{int(rng.integers(1, 20)):02d}",
            "changes": {"version": int(rng.integers(2, 9))},
            "ip_address": f"192.0.2.{int(rng.integers(1, 250))}",
            "user_agent": "console/5.0",
        }
        chain = Chain(scene, source, f"change {tenant} {number}")
        chain.add(at_us, "governance/audit_trail", data, event_type="audit")
        units.append(Unit(f"changes {tenant}", chain.events))
    return units


def _lineage(scene: Scene, tenant: str, source: Source) -> list[Unit]:
    """Read, transform and aggregate of the feedback data set every six hours, each step caused by the one before."""
    steps = (("read", "raw"), ("transform", "clean"), ("aggregate", "daily"))
    units = []
    for number, at_us in enumerate(range(scene.start_us + HOUR_US, scene.end_us, 6 * HOUR_US)):
        chain = Chain(scene, source, f"lineage {tenant} {number}")
        path = [f"{tenant}.feedback"]
        for step, (operation, layer) in enumerate(steps):
            asset = f"{tenant}.feedback_{layer}"
            data: dict[str, object] = {
                "data_asset_id": asset,
                "operation": operation,
                "source": path[-1],
                "destination": asset,
                "transformation": f"{layer} layer",
                "lineage_path": [*path, asset],
            }
            path.append(asset)
            chain.add(at_us if step == 0 else 45 * SECOND_US, "governance/data_lineage", data)
        units.append(Unit(f"lineage {tenant}", chain.events))
    return units


def _performance(scene: Scene, tenant: str, source: Source) -> list[Unit]:
    """Evaluation scores of two models every six hours."""
    rng = scene.rng(f"performance {tenant}")
    units = []
    for number, at_us in enumerate(range(scene.start_us + 2 * HOUR_US, scene.end_us, 6 * HOUR_US)):
        for model in (MODELS["assistant"], MODELS["agents"]):
            data: dict[str, object] = {
                "model_id": model,
                "accuracy": round(float(rng.beta(90, 10)), 4),
                "quality_score": round(float(rng.beta(80, 12)), 4),
                "user_satisfaction": round(float(rng.beta(70, 15)), 4),
                "custom_metrics": {"groundedness": round(float(rng.beta(85, 9)), 4)},
            }
            chain = Chain(scene, source, f"performance {tenant} {model} {number}")
            chain.add(at_us, "telemetry/model_performance", data)
            units.append(Unit(f"performance {tenant}", chain.events))
    return units


def _feedback(scene: Scene, tenant: str, source: Source) -> list[Unit]:
    rng = scene.rng(f"feedback {tenant}")
    units = []
    for number, at_us in enumerate(scene.moments(f"feedback {tenant}", _FEEDBACK_PER_HOUR)):
        data: dict[str, object] = {"data": {"rating": int(rng.integers(1, 6)), "channel": "chat"}}
        chain = Chain(scene, source, f"feedback {tenant} {number}")
        chain.add(at_us, "custom/user_feedback", data, event_type="telemetry")
        units.append(Unit(f"feedback {tenant}", chain.events))
    return units
