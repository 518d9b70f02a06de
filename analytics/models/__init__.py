"""Model files: where they are, whether they are the pinned ones, and loaded once each."""

from analytics.models.index import ModelFile, Models

__all__ = ["ModelFile", "Models"]
