"""Machine profiles from measurements: a matrix, a micro-benchmark, this machine, or published rates."""

from vgic.calibrate.contended import CONTENDED_MACHINE, Curve, contended_curves, misfit, predict_curve
from vgic.calibrate.fit import Effort, Fit, FittedValue, Residual, fit_rates, residuals
from vgic.calibrate.here import measure_here, with_here
from vgic.calibrate.micro_bench import MicroBench, read_micro_bench, with_micro_bench
from vgic.calibrate.parameters import MOST_FREE, Free, free_parameters, measured_parameters
from vgic.calibrate.rates import PUBLISHED, RateRow, RatesError, RateTable, published_rate, published_tables, read_rates
from vgic.calibrate.validate import GRACE_PERIODS_MS, PredictedRow, predict_rows

__all__ = [
    "CONTENDED_MACHINE",
    "GRACE_PERIODS_MS",
    "MOST_FREE",
    "PUBLISHED",
    "Curve",
    "Effort",
    "Fit",
    "FittedValue",
    "Free",
    "MicroBench",
    "PredictedRow",
    "RateRow",
    "RateTable",
    "RatesError",
    "Residual",
    "contended_curves",
    "fit_rates",
    "free_parameters",
    "measure_here",
    "measured_parameters",
    "misfit",
    "predict_curve",
    "predict_rows",
    "published_rate",
    "published_tables",
    "read_micro_bench",
    "read_rates",
    "residuals",
    "with_here",
    "with_micro_bench",
]
