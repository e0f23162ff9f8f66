"""For `pytest --nbval-lax notebooks`, which runs them at profile smoke.

Stored notebooks carry no execution counts, and nbval takes a cell without one for never run; so the
cells whose output it shall compare get one here. What is written to stderr (progress bars, which
show only while something is not yet cached) is not compared.
"""

import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import nbval.kernel
import pytest

from reidlib.workbook.execute import until_a_kernel_lives

nbval.kernel.start_new_kernel = partial(until_a_kernel_lives, nbval.kernel.start_new_kernel)


def pytest_collection_modifyitems(items: list[Any]) -> None:
    for item in items:
        cell = getattr(item, "cell", None)
        if cell and "nbval-check-output" in cell.metadata.get("tags", []):
            cell.execution_count = 1
            if "stderr" not in item.parent.skip_compare:
                item.parent.skip_compare += ("stderr",)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Iterator[None]:
    """A kernel, which starts with its first cell, finds the profile in its environment."""
    with pytest.MonkeyPatch.context() as patch:
        if "REIDLIB_PROFILE" not in os.environ:
            patch.setenv("REIDLIB_PROFILE", "smoke")
        return (yield)
