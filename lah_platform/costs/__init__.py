"""Costs: what requests cost by their producers and by a dated price book, per day. Pure: frames in, frames out.

Reading events and writing `prices` and `cost_daily` belong to `lah_platform.stores.costs`.
"""
