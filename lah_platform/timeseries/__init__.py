"""Time-series queries: what may be asked of rollups, which stored windows answer it, and the answer from their rows.

Pure: reading the rows belongs to `stores/timeseries.py`, the wire to `api/timeseries.py`.
"""
