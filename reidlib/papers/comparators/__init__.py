"""Settings of the networks that papers are compared with."""

from reidlib.system.lazy import modules

__getattr__ = modules(__name__)
