"""Model files: where they are, whether they are the pinned ones, and loaded once each."""

from analytics.models.index import ModelFile, Models
from analytics.models.store import InstalledModels

__all__ = ["InstalledModels", "ModelFile", "Models"]
