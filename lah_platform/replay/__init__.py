"""Replay: recorded traces, or a workload measured on them, as the event catalog's wire messages.

Belongs here: reading traces, shifting them in time, spelling events as JSON bytes. Does not: sending them
anywhere, decoding them (`lah_platform.events`), or any wall clock; `end` and `run_id` are arguments.
Start at `lah_platform.replay.plan.ReplayPlan`.
"""
