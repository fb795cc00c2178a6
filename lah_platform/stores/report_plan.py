"""The plan of reports: the file that LAH_REPORT_SCHEDULES names, or the package's own."""

from pathlib import Path
from typing import Final

from lah_platform.compliance.schedules import Plan, read_plan
from lah_platform.errors import ConfigurationError
from lah_platform.settings import Settings
from lah_platform.stores.control_files import load_frameworks
from lah_platform.stores.facts_reports import FACTS

__all__ = ["PACKAGED", "load_plan"]

PACKAGED: Final = Path(__file__).parents[1] / "compliance" / "report_schedules.yaml"


def load_plan(settings: Settings) -> Plan:
    """Everything that is scheduled. Raises ConfigurationError naming file, entry and field for what cannot be."""
    path = settings.report_schedules or PACKAGED
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"LAH_REPORT_SCHEDULES cannot be read: {path} ({type(error).__name__})", "Correct its path or its rights"
        ) from error
    return read_plan(text, path.name, known_reports=[*load_frameworks(settings.controls_dir), *FACTS])
