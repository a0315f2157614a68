"""Saving what a damaged database still holds; used by `doctor --recover` alone."""
