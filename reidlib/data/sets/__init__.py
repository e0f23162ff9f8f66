"""Readers of datasets in their authors' layout."""
