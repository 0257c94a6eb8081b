"""What is shown of a value that a user gave in the wrong place: its beginning, whatever it is, and never a password."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import triocql
from tests.engine.world import World
from triocql import Registry, time_uuid_from
from triocql._brief import brief, some_names
from triocql.bulk.naming import find_relation
from triocql.codecs.bind import in_order
from triocql.codecs.records import values_of
from triocql.codecs.typeparser import parse_type
from triocql.config.options import ConnectKeywords, Options
from triocql.config.requests import RequestKeywords, request_options
from triocql.errors import BindValueError, OptionError
from triocql.policies import (
    DefaultBalancing,
    FilteredBalancing,
    MappedAddresses,
    PercentileSpeculation,
    Throttle,
)
from triocql.protocol.types import ColumnSpec, NativeType, UserType

LONGEST = 1500  # messages have much else, such as the names of options
ROWS = [(key, "of a user") for key in range(5000)]
HUGE: tuple[Any, ...] = (
    ROWS,
    tuple(ROWS),
    dict(ROWS),
    OrderedDict(ROWS),
    set(range(5000)),
    "x" * 50_000,
    b"x" * 50_000,
    bytearray(50_000),
    10**4000,
    10**5000,
    type("Large", (), {"__repr__": lambda self: "x" * 50_000})(),
    type("Broken", (), {"__repr__": lambda self: 1 / 0})(),
)
KINDS = [f"{type(each).__name__} {index}" for index, each in enumerate(HUGE)]
every_value = pytest.mark.parametrize("value", HUGE, ids=KINDS)


MADE: tuple[Callable[[Any], Any], ...] = (
    lambda value: DefaultBalancing(local_data_centre=value),
    lambda value: DefaultBalancing(remote_data_centres=value),
    lambda value: FilteredBalancing(DefaultBalancing(), allow=value),
    lambda value: FilteredBalancing(DefaultBalancing(), predicate=value),
    lambda value: FilteredBalancing(value),
    lambda value: MappedAddresses(value),
    lambda value: MappedAddresses({"10.0.0.1": value}),
    lambda value: Throttle(value),
    lambda value: PercentileSpeculation(value),
    lambda value: find_relation({}, value),
    lambda value: parse_type(f"{value:.50000}" if isinstance(value, str) else f"map<{'x' * 50_000}"),
    lambda value: request_options({"custom_payload": {value: b""}}),
    lambda value: request_options({"custom_payload": {"x": value}}),
    lambda value: time_uuid_from(0, node=value),
    lambda value: triocql.Duration(value, 0, 0),
)


def refusal(call: Callable[[], Any]) -> str:
    """Return what is said of a value, if it is refused."""
    try:
        call()
    except Exception as error:
        return "\n".join([str(error), *getattr(error, "__notes__", ())])
    return ""


@every_value
def test_no_message_about_an_option_shows_all_of_a_value(value: Any) -> None:
    for name in (*ConnectKeywords.__annotations__, "contact_points", "port"):
        keywords: Mapping[str, Any] = {name: value}
        assert len(refusal(lambda: Options.from_arguments(**keywords))) < LONGEST  # noqa: B023
    for name in RequestKeywords.__annotations__:
        option: Any = {name: value}
        assert len(refusal(lambda: request_options(option))) < LONGEST  # noqa: B023


@every_value
def test_no_message_about_what_is_made_shows_all_of_a_value(value: Any) -> None:
    for made in MADE:
        assert len(refusal(lambda: made(value))) < LONGEST  # noqa: B023


def test_no_message_of_a_session_shows_all_of_a_value() -> None:
    world = World()
    with world.session() as session:
        calls: list[Callable[[Any], Any]] = [
            lambda value: session.execute_concurrent("SELECT 1", value),
            lambda value: session.execute_concurrent_with_args("SELECT 1", [], value),
            lambda value: session.refresh_schema(keyspace="ks", table=value),
            lambda value: session.refresh_schema(keyspace=value),
        ]
        for call in calls:
            for value in HUGE:
                assert len(refusal(lambda: world.call(call, value))) < LONGEST  # noqa: B023


def test_the_values_by_mistake_are_named() -> None:
    """`execute_concurrent(statement, rows)` instead of `execute_concurrent_with_args`."""
    world = World()
    with world.session() as session, pytest.raises(OptionError) as caught:
        world.call(session.execute_concurrent, "INSERT INTO t (k, v) VALUES (?, ?)", ROWS)
    assert str(caught.value).startswith("concurrency is [(0, 'of a user'), (1, 'of a user'), (2, ")
    assert "6," not in str(caught.value)


def test_names_that_do_not_fit_a_statement_or_a_type_are_some_of_them() -> None:
    columns = [ColumnSpec("ks", "t", "k", NativeType("int"))]
    point = Registry().plan(
        [ColumnSpec("ks", "t", "p", UserType("ks", "point", (("x", NativeType("int")),)))]
    )
    many = {f"name{number}": 1 for number in range(5000)}
    with pytest.raises(BindValueError, match=r"is named name0, name1, .*, \.\.\.; there are: k$") as caught:
        in_order(columns, {"k": 1, **many})
    assert len(str(caught.value)) < 200
    with pytest.raises(BindValueError, match=r"no bind marker is named ;"):
        in_order(columns, {"k": 1, "": 1})
    with pytest.raises(BindValueError, match=r"has no field name0, .*, \.\.\., but x$"):
        values_of(many, point.columns[0].type, ("x",))


@given(
    user=st.text(st.characters(codec="ascii", exclude_characters="@"), max_size=300),
    password=st.text(st.characters(codec="ascii"), min_size=3, max_size=300).map(lambda text: f"<{text}>"),
)
def test_users_and_passwords_are_not_shown_wherever_a_url_stands(user: str, password: str) -> None:
    url = f"cql://{user}:{password}@host"
    places = (url, [url], (url, "9042"), {"hosts": url}, SimpleNamespace(url=url), [[url]])
    for place in places:
        assert "<" not in brief(place).replace("SimpleNamespace", "")
    # (With a letter first, as a slash begins the path of a socket.)
    for given_hosts in ([(url, 9042)], [[url]], [(url, "9042")], [(f"u{user}:{password}@host", 9042)]):
        with pytest.raises(OptionError) as caught:
            Options.from_arguments(given_hosts)  # type: ignore[arg-type]
        assert "<" not in str(caught.value)
    assert "<" not in some_names([url])


@given(st.recursive(st.integers() | st.text() | st.binary(), lambda each: st.lists(each) | st.tuples(each)))
def test_what_is_short_is_shown_as_it_is(value: Any) -> None:
    shown = brief(value)
    assert len(shown) <= 101
    if len(repr(value)) <= 30 and "@" not in repr(value) and "[[[" not in repr(value).replace("(", "["):
        assert shown == repr(value) or "..." in shown
