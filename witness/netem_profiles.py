"""Network profiles by name or file, with every mistake named at its line and column."""

from collections.abc import Iterable
from pathlib import Path

from loadtest.netem.profile import Profile
from witness.config_file import read_config_file
from witness.config_load import sift
from witness.errors import ConfigError, UsageError
from witness.i18n import t

__all__ = ["FOLDER", "load_profile", "names"]

FOLDER = Path(__file__).parent / "assets" / "configs" / "netem"


def names() -> list[str]:
    """Profiles that come with the program."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_profile(name: str, seed: int | None = None) -> Profile:
    """Reads a profile.

    Args:
        name: of one that comes with the program, or a YAML file.
        seed: instead of the profile's own.

    Raises:
        ConfigError: the file is wrong; every mistake has its place.
        UsageError: there is no such profile.
    """
    shipped = FOLDER / f"{name}.yaml"
    is_name = "/" not in name and not name.endswith((".yaml", ".yml"))
    if is_name and not shipped.is_file():
        text = t("there is no network profile {name}; choose from {names}, or name a YAML file")
        raise UsageError(text.format(name=repr(name), names=_listed(names())))
    file = read_config_file(shipped if is_name else Path(name))
    profile, problems = sift(file, Profile)
    if problems or profile is None:
        raise ConfigError(problems)
    return profile if seed is None else profile.model_copy(update={"seed": seed})


def _listed(items: Iterable[str]) -> str:
    return ", ".join(items)
