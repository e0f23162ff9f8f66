"""Settings of the made-up paper."""

from reidlib.papers.comparators import baseline
from reidlib.train.recipe import Recipe

RECIPE = baseline.RECIPE.but(model="bands", options={"bands": 2})


def rows() -> dict[str, Recipe]:
    """The rows of its one table."""
    return {"Two bands": RECIPE, "Three bands": RECIPE.but(bands=3)}
