"""A spike of two minutes and a slow week of the same series are both told, once each."""

from datetime import timedelta

import numpy as np
import polars as pl

from lah_platform.anomalies import detect
from lah_platform.anomalies.feedback import told_once

from .points import HOUR, MONDAY, points

_MINUTE = timedelta(minutes=1)


def test_a_minute_spike_and_a_slow_week_are_both_seen_once_each() -> None:
    spike, week, days = 27 * 1440 + 617, 28 * 1440, 35
    minute = np.arange(days * 1440)
    usual = 100 * (1 + 0.3 * np.sin(minute / 1440 * 2 * np.pi)) * np.random.default_rng(0).normal(1, 0.05, len(minute))
    values = np.where(minute >= week, 1.6, 1.0) * usual
    values[spike : spike + 2] *= 6
    hours = np.percentile(values.reshape(-1, 60), 95, axis=1)
    wide = detect(points(hours.tolist()), window="1h", step=HOUR)
    begin, day = MONDAY + timedelta(days=25), MONDAY + timedelta(days=27)
    last = values[25 * 1440 : 28 * 1440].tolist()
    narrow = detect(points(last, step=_MINUTE, start=begin), window="1m", step=_MINUTE)
    told = told_once(wide, narrow.filter(pl.col("ended_at") > day)).sort("started_at")
    assert told.select("window_name", "started_at").rows() == [
        ("1m", MONDAY + spike * _MINUTE),
        ("1h", MONDAY + week * _MINUTE),
    ]
