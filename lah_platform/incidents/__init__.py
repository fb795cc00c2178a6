"""Incidents: anomalies and correlations of one tenant that belong together, told as one story.

Pure: frames and correlations in, incidents out. Finding the correlations is `correlations`, where it started
`root_cause`; tables belong to stores.
"""

from lah_platform.incidents.model import Incident, IncidentInputs
from lah_platform.incidents.tell import LEAD, USUAL, tell_incidents

__all__ = ["LEAD", "USUAL", "Incident", "IncidentInputs", "tell_incidents"]
