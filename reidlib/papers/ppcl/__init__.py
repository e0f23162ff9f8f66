"""PPCL (He et al. 2021): a partial image is put back in place, and like regions are compared."""

from reidlib.system.lazy import modules

MODELS = {"ppcl": "model:PPCL", "glrec": "rectifier:GLRec", "vggface": "face:VGGFace"}

__getattr__ = modules(__name__)
