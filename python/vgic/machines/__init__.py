"""Machine profiles: what every step costs on a machine that the simulator is to be."""

from vgic.machines.checks import Check
from vgic.machines.distance import Classes, Distance, Matrix, Mesh, PairStatistics, pair_statistics, read_matrix
from vgic.machines.profile import MAX_CORES, Machine, machine, machines, parameter_rows
from vgic.machines.values import PARAMETERS, STATUSES, Parameter, Value

__all__ = [
    "MAX_CORES",
    "PARAMETERS",
    "STATUSES",
    "Check",
    "Classes",
    "Distance",
    "Machine",
    "Matrix",
    "Mesh",
    "PairStatistics",
    "Parameter",
    "Value",
    "machine",
    "machines",
    "pair_statistics",
    "parameter_rows",
    "read_matrix",
]
