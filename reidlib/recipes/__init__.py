"""The papers' own training settings, one small file each: ``recipes.baseline.RECIPE``.

Variants are made with ``but``: ``RECIPE.but(margin=0.6, seed=1)``. Profiles scale them.
"""
