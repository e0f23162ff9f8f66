"""Settings of the networks that papers are compared with."""
