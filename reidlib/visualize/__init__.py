"""Figures drawn from the thing itself: a dataset, a history, a distance matrix, a model.

Each function returns a matplotlib figure; saving is the caller's (``Report.figure``).
"""

from reidlib.visualize.architecture import architecture, stages
from reidlib.visualize.curves import (
    beside,
    cmc_curves,
    metrics_table,
    sweep,
    sweeps,
    time_shares,
    training_costs,
    training_curves,
)
from reidlib.visualize.images import partial_probes, people_grid, statistics, true_boxes
from reidlib.visualize.maps import heat_maps, match_cam, similarity_cam
from reidlib.visualize.ranking import nearest_allowed, paired_lists, ranked_lists
from reidlib.visualize.style import note, use_style

__all__ = [
    "architecture",
    "beside",
    "cmc_curves",
    "heat_maps",
    "match_cam",
    "metrics_table",
    "nearest_allowed",
    "note",
    "paired_lists",
    "partial_probes",
    "people_grid",
    "ranked_lists",
    "similarity_cam",
    "stages",
    "statistics",
    "sweep",
    "sweeps",
    "time_shares",
    "training_costs",
    "training_curves",
    "true_boxes",
    "use_style",
]
