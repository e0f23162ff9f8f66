"""Drawn people and faces, whose true geometry is known."""
