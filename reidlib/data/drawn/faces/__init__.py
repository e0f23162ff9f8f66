"""Synthetic faces: drawn portraits, by numpy alone and equal to the byte on every platform.

``traits`` says who somebody is, ``pose`` how the head is held and what the face does, ``features``
and ``hair`` draw them on a ``canvas``, and ``portrait`` makes one image with its truth out of all.
They keep the rules of ``reidlib.data.drawn.people``: no libm, no BLAS, no float sums.

Lengths are in half faces: the middle of the face is (0, 0), the chin about (0, 1), y downwards.
"""
