"""The CPU's reader, compiled by numba: from bytes to normalised floats in one pass."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(parallel=True, fastmath=True, cache=True)
def read_rows(bank, index, x, y, window, erased, scale, offset, fill, out):  # type: ignore[no-untyped-def]
    """Bilinear, rows first: two rows are blended into a buffer, then read along x.

    bank [N, 3, H, W] uint8; index [n]; x [n, W], y [n, H] in pixels; window [n, 4]: outside of it
    ``fill`` [3]; erased [n, 4]: inside of it 0; a value v becomes v * scale + offset, beyond the
    image 0. Writes out [n, 3, H, W].
    """
    n, channels, height, width = out.shape
    h, w = bank.shape[2], bank.shape[3]
    for i in numba.prange(n):
        image = bank[index[i]]
        x0, y0, x1, y1 = window[i, 0], window[i, 1], window[i, 2], window[i, 3]
        left = np.empty(width, np.int32)  # the left one of two neighbours, in the buffer
        right = np.empty(width, np.float32)  # and the weight of the other
        for k in range(width):
            floor = np.floor(x[i, k])
            place = int(floor) + 1
            inside = 0 <= place <= w
            left[k] = place if inside else 0
            right[k] = x[i, k] - floor if inside else 0.0
        row = np.zeros(w + 2, np.float32)  # with a 0 before the first and after the last pixel
        for c in range(channels):
            for r in range(height):
                target = out[i, c, r]
                cut = erased[i, 1] <= r < erased[i, 3]
                if r < y0 or r >= y1:
                    target[:] = fill[c]
                    if cut:
                        target[erased[i, 0] : erased[i, 2]] = 0
                    continue
                upper = int(np.floor(y[i, r]))
                below = np.float32(y[i, r] - upper)
                above = np.float32(1) - below
                if upper < 0 or upper >= h:
                    above = np.float32(0)
                if upper + 1 < 0 or upper + 1 >= h:
                    below = np.float32(0)
                first = image[c, min(max(upper, 0), h - 1)]
                second = image[c, min(max(upper + 1, 0), h - 1)]
                shift = offset[c] * (above + below)
                a, b = scale[c] * above, scale[c] * below
                for k in range(w):
                    row[k + 1] = np.float32(first[k]) * a + np.float32(second[k]) * b + shift
                target[:x0] = fill[c]
                for k in range(x0, x1):
                    p = left[k]
                    target[k] = row[p] + (row[p + 1] - row[p]) * right[k]
                target[x1:] = fill[c]
                if cut:
                    target[erased[i, 0] : erased[i, 2]] = 0
