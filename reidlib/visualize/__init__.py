"""Figures drawn from the thing itself: a dataset, a history, a distance matrix, a model.

Each function returns a matplotlib figure; saving is the caller's (``Report.figure``).
"""

from reidlib.visualize.architecture import architecture
from reidlib.visualize.cam import match_cam, similarity_cam
from reidlib.visualize.curves import cmc_curves, metrics_table, time_shares, training_curves
from reidlib.visualize.grids import beside
from reidlib.visualize.paired import paired_lists
from reidlib.visualize.people import partial_probes, people_grid, statistics, true_boxes
from reidlib.visualize.ranking import nearest_allowed, ranked_lists
from reidlib.visualize.stages import stages
from reidlib.visualize.style import use_style
from reidlib.visualize.sweeps import sweep

__all__ = [
    "architecture",
    "beside",
    "cmc_curves",
    "match_cam",
    "metrics_table",
    "nearest_allowed",
    "paired_lists",
    "partial_probes",
    "people_grid",
    "ranked_lists",
    "similarity_cam",
    "stages",
    "statistics",
    "sweep",
    "time_shares",
    "training_curves",
    "true_boxes",
    "use_style",
]
