"""Settings of the made-up paper."""

from reidlib.papers.comparators import baseline
from reidlib.train.recipe import Recipe

RECIPE = baseline.RECIPE.but(model="bands", options={"bands": 2})


def rows(weights: str | None) -> dict[str, Recipe]:
    """The rows of its one table."""
    own = RECIPE if weights else baseline.SCRATCH.but(model="bands", options={"bands": 2})
    return {"Two bands": own, "Three bands": own.but(bands=3)}
