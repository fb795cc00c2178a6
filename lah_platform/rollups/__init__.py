"""Rollups: from rows of events to mergeable aggregates of eight windows. Pure: frames in, frames out.

Reading partials, locking and writing tables belong to `assets` and `stores`.
"""
