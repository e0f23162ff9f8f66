"""SCR (Chen et al. 2020): the map cut into rows and into groups of channels."""

from reidlib.system.lazy import modules

MODELS = {"scr": "model:SCR"}

__getattr__ = modules(__name__)
