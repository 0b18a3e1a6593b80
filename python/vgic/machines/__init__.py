"""Machine profiles: what every step costs on a machine that the simulator is to be."""

from vgic.machines.distance import Classes, Distance, Matrix, Mesh, PairStatistics, pair_statistics, read_matrix
from vgic.machines.profile import MAX_CORES, Machine, machine, machines
from vgic.machines.values import PARAMETERS, Parameter, Value

__all__ = [
    "MAX_CORES",
    "PARAMETERS",
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
    "read_matrix",
]
