"""SC-STN and VCN: a map moved within the detector's error, then read downwards."""

from reidlib.system.lazy import modules

MODELS = {"vcn": "model:VCN"}

__getattr__ = modules(__name__)
