"""The redistributor as a guest drives it, as far as LPIs go."""

from vgic.redist.frame import RedistributorFrame

__all__ = ["RedistributorFrame"]
