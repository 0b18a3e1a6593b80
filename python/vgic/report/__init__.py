"""The report of a comparison: one HTML file that needs nothing else."""

from vgic.report.page import render
from vgic.report.svg import bar_chart

__all__ = ["bar_chart", "render"]
