"""Predicting for machines that are not here: one prediction, many at once, the rate over the number of cores."""

from vgic.predict.limit import Limit, find_limits
from vgic.predict.prediction import DEFAULT_MACHINE, GICV4, Prediction, predict
from vgic.predict.recorded import RecordedWorkload
from vgic.predict.scale import ScalePoint, ScaleResult, scale
from vgic.predict.sweep import Point, dask_executor, local_executor, predict_many
from vgic.predict.usl import Usl, fit_usl
from vgic.predict.workload import ClosedWorkload, PredictedWorkload

__all__ = [
    "DEFAULT_MACHINE",
    "GICV4",
    "ClosedWorkload",
    "Limit",
    "Point",
    "PredictedWorkload",
    "Prediction",
    "RecordedWorkload",
    "ScalePoint",
    "ScaleResult",
    "Usl",
    "dask_executor",
    "find_limits",
    "fit_usl",
    "local_executor",
    "predict",
    "predict_many",
    "scale",
]
