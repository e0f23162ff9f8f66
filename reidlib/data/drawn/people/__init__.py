"""Synthetic people, drawn by numpy alone and equal to the byte on every platform.

``wardrobe`` says who somebody is, ``pose`` how they stand, ``figure`` and ``surface`` what that
looks like, ``scene`` and ``camera`` who watches them and where, ``raster`` puts it into pixels, and
``picture`` makes one image with its truth out of all of them.

The rules that keep it equal to the byte: random numbers come from ``Generator.random`` and
``Generator.integers`` alone, and pixels from ``+ - * /``, ``sqrt``, ``floor``, ``rint``,
comparisons and ``clip`` on float64, element by element. No libm, no BLAS, no float sums, no
``np.interp`` (its compiled loop may fuse a multiplication with an addition), no imaging library.
"""
