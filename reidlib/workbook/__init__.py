"""What notebooks hold on to: ``Report``; and claims, published, profile, batch, cli."""

from typing import TYPE_CHECKING, Any

from reidlib.system.lazy import modules

if TYPE_CHECKING:
    from reidlib.workbook.report import Report

__all__ = ["Report"]


def __getattr__(name: str) -> Any:
    """What is asked for, and no more: the command line needs no training code to start."""
    found = modules(__name__)
    return found("report").Report if name == "Report" else found(name)
