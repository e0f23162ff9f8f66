"""Figures drawn from the thing itself: a dataset, a history, a distance matrix, a model.

Each function returns a matplotlib figure; saving is the caller's (``Report.figure``).
"""

from reidlib.visualize.affined import affined_by_row, affined_grid
from reidlib.visualize.aligned import aligned
from reidlib.visualize.architecture import architecture
from reidlib.visualize.balance import activation_balance
from reidlib.visualize.cam import match_cam, similarity_cam
from reidlib.visualize.convolutions import convolutions, vertical_kernels
from reidlib.visualize.correction import correction
from reidlib.visualize.curves import cmc_curves, metrics_table, time_shares, training_curves
from reidlib.visualize.footprint import footprints
from reidlib.visualize.grids import beside
from reidlib.visualize.heat import heat_maps
from reidlib.visualize.lineage import lineage
from reidlib.visualize.located import constraints, located
from reidlib.visualize.overlap_bars import cycle_overlaps, region_overlaps
from reidlib.visualize.paired import paired_lists
from reidlib.visualize.pairs import overlap_by_row, partial_triples
from reidlib.visualize.part_cam import part_cam, part_cams
from reidlib.visualize.partition import partitioned
from reidlib.visualize.people import partial_probes, people_grid, statistics, true_boxes
from reidlib.visualize.probed import probed
from reidlib.visualize.ranking import nearest_allowed, ranked_lists
from reidlib.visualize.responses import stripe_responses
from reidlib.visualize.roc import roc_curves
from reidlib.visualize.shares import stripe_shares
from reidlib.visualize.shifting import shifting_steps
from reidlib.visualize.stages import stages
from reidlib.visualize.style import use_style
from reidlib.visualize.sweeps import sweep
from reidlib.visualize.transformers import transformer_steps

__all__ = [
    "activation_balance",
    "affined_by_row",
    "affined_grid",
    "aligned",
    "architecture",
    "beside",
    "cmc_curves",
    "constraints",
    "convolutions",
    "correction",
    "cycle_overlaps",
    "footprints",
    "heat_maps",
    "lineage",
    "located",
    "match_cam",
    "metrics_table",
    "nearest_allowed",
    "overlap_by_row",
    "paired_lists",
    "part_cam",
    "part_cams",
    "partial_probes",
    "partial_triples",
    "partitioned",
    "people_grid",
    "probed",
    "ranked_lists",
    "region_overlaps",
    "roc_curves",
    "shifting_steps",
    "similarity_cam",
    "stages",
    "statistics",
    "stripe_responses",
    "stripe_shares",
    "sweep",
    "time_shares",
    "training_curves",
    "transformer_steps",
    "true_boxes",
    "use_style",
    "vertical_kernels",
]
