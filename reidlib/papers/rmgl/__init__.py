"""RMGL (Wang et al. 2021): stripes of several heights, cut in the middle of the network."""

from reidlib.system.lazy import modules

MODELS = {"rmgl": "model:RMGL"}

__getattr__ = modules(__name__)
