"""The options that stand in a URL, as texts: ``cql://host/keyspace?timeout=2.5&profiles.reports.timeout=60``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from triocql._brief import brief
from triocql._hints import near
from triocql.config.profiles import Profile
from triocql.errors import OptionError
from triocql.protocol.constants import Consistency

_PROFILES = "profiles."

_BOOLS = {"true": True, "false": False}


def _read_keepalive(text: str) -> bool | int:
    flag = _BOOLS.get(text.lower())
    return int(text) if flag is None else flag


def _read_names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


_READERS: dict[str, Callable[[str], Any]] = {
    "bool": lambda text: _BOOLS[text.lower()],
    "bool | int": _read_keepalive,
    "int": int,
    "float": float,
    "str": str,
    "UUID": str,
    "Collection[str]": _read_names,
    "Compression": str,
    "Consistency": lambda text: Consistency[text.upper()],
}
_EXPECTED = {
    "bool": "true or false",
    "bool | int": "true, false or a whole number",
    "int": "an integer",
    "float": "a number",
    "Consistency": f"one of {', '.join(each.name for each in Consistency)}",
}


def from_text(name: str, text: str, types: Mapping[str, str]) -> Any:
    """Read an option of a URL, whose type is written in `types`. Raises OptionError."""
    if name not in types:
        raise OptionError(f"unknown option {brief(name)} in a URL{near(name, types)}")
    kind = (
        types[name].removesuffix(" | None").removesuffix(" | str")
    )  # an option given by the name of its value
    reader = _READERS.get(kind)
    if reader is None:
        raise OptionError(f"{name} cannot be given in a URL; give it as a keyword argument")
    try:
        return reader(text)
    except (KeyError, ValueError):
        raise OptionError(f"{name} is {brief(text)} in a URL; it has to be {_EXPECTED[kind]}") from None


def take_profiles(query: dict[str, str]) -> dict[str, Profile]:
    """Take the options of profiles out of the options of a URL, and return the profiles. Raises OptionError."""
    types = {each.name: str(each.type) for each in fields(Profile)}
    found: dict[str, dict[str, Any]] = {}
    for full in [name for name in query if name.startswith(_PROFILES)]:
        profile, dot, option = full.removeprefix(_PROFILES).rpartition(".")
        if not dot or not profile:
            raise OptionError(
                f"{brief(full)} in a URL is no option of a profile: write profiles.reports.timeout=60"
            )
        text = query.pop(full)
        try:
            found.setdefault(profile, {})[option] = from_text(option, text, types)
        except OptionError as error:
            error.add_note(f"it is an option of the profile {brief(profile)}")
            raise
    return {name: Profile(**options) for name, options in found.items()}
