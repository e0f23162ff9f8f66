"""Its one figure."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure


def bands(count: int) -> Figure:
    """Lines between so many bands."""
    figure, axes = plt.subplots()
    axes.hlines([k / count for k in range(count + 1)], 0, 1)
    return figure
