"""Where installed code finds the pages and the reference configuration."""

from pathlib import Path

from witness.errors import StartError
from witness.i18n import t

__all__ = ["configs_dir", "web_dir"]

_ROOT = Path(__file__).parent / "assets"


def _existing(name: str) -> Path:
    """Resolves ``assets/<name>``: a folder in a wheel, a link to the root in a checkout."""
    path = (_ROOT / name).resolve()
    if not path.is_dir():
        raise StartError(t("the installation is incomplete: {path} is missing").format(path=path))
    return path


def web_dir() -> Path:
    """The folder served at ``/``."""
    return _existing("web")


def configs_dir() -> Path:
    """The folder with ``witness.yaml``."""
    return _existing("configs")
