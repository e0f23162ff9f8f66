"""STNReID (Luo et al. 2019): of the holistic image the patch that a partial one shows."""

from reidlib.system.lazy import modules

MODELS = {"stnreid": "model:STNReID"}

__getattr__ = modules(__name__)
