"""Run in the peers' environment: series of an .npz file, scored by packages as their documentation shows them.

`python anomaly_scores.py METHOD IN.npz OUT.npz`: IN holds float arrays by name; OUT gets NAME/score and NAME/alarmed of
each, and `seconds`.
"""

import sys
import time
import warnings

import numpy as np

warnings.filterwarnings("ignore")
_PATTERN = 24  # values in a pattern


def _iforest(values):
    from pyod.models.iforest import IForest

    patterns = np.lib.stride_tricks.sliding_window_view(values, _PATTERN)
    model = IForest(random_state=0, n_jobs=1).fit(patterns)
    return _at_end(model.decision_scores_), _at_end(model.labels_).astype(bool)


def _stumpy(values):
    import stumpy

    profile = stumpy.stump(values, _PATTERN)[:, 0].astype(float)
    profile[~np.isfinite(profile)] = 0.0
    return _at_end(profile), _at_end(profile >= profile.mean() + 3 * profile.std()).astype(bool)


def _adtk(values):
    import pandas as pd
    from adtk.detector import InterQuartileRangeAD

    index = pd.date_range("2020-01-01", periods=len(values), freq="min")
    found = InterQuartileRangeAD().fit_detect(pd.Series(values, index=index)).to_numpy(dtype=float)
    return np.nan_to_num(found), np.nan_to_num(found) > 0


def _at_end(scores):
    return np.concatenate([np.full(_PATTERN - 1, scores.min()), scores])


METHODS = {"pyod_iforest": _iforest, "stumpy": _stumpy, "adtk_iqr": _adtk}


def main():
    method, source, target = sys.argv[1:]
    series = np.load(source)
    METHODS[method](np.sin(np.arange(300.0)) + np.arange(300) % 7)  # imports and compiles
    out, started = {}, time.perf_counter()
    for name in series.files:
        score, alarmed = METHODS[method](series[name])
        out[name + "/score"], out[name + "/alarmed"] = score, alarmed
    np.savez(target, seconds=time.perf_counter() - started, **out)


if __name__ == "__main__":
    main()
