"""Forecasts of rollup series with prediction intervals, each beside the error its method made on held-out buckets.

Pure: frames in, frames out. Reading rollups and writing table `forecasts` belong to `lah_platform.stores.signals`.
Importing this package loads no statsmodels; `state_space` does, when the first model is fitted.
"""

from lah_platform.forecasts.forecast import FORECAST_SCHEMA, MODEL_SCHEMA, Forecasts, forecast, forecast_with_reasons

__all__ = ["FORECAST_SCHEMA", "MODEL_SCHEMA", "Forecasts", "forecast", "forecast_with_reasons"]
