"""The papers, one folder each: model, recipe, measure, figures."""
