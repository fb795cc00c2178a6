"""The hub as running processes: what `lah up` starts, watches and stops, and the demo's main job."""
