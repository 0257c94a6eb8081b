"""User-defined types, functions and aggregates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from triocql._hints import FUNCTION, USER_TYPE, old_names
from triocql.codecs.values import FrozenMap
from triocql.metadata.schema import ddl
from triocql.metadata.schema.columns import NOTHING, Argument
from triocql.metadata.schema.wording import DESCRIBED, MEANT, Wording

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triocql.protocol import types
    from triocql.protocol.types import CqlType


@old_names(USER_TYPE)
@dataclass(frozen=True, slots=True)
class UserType:
    """A user-defined type.

    Attributes:
        keyspace: the keyspace that it is in.
        name: its name.
        type: the type itself, with its fields and their types.
        cql_types: the types of its fields as the server writes them.
        extra: what else a server tells of it.
    """

    keyspace: str
    name: str
    type: types.UserType
    cql_types: tuple[str, ...]
    extra: FrozenMap[str, Any] = NOTHING

    @property
    def fields(self) -> FrozenMap[str, CqlType]:
        """The types of its fields by their names, in order."""
        return FrozenMap(dict(self.type.fields))

    def as_cql(self, wording: Wording = DESCRIBED) -> str:
        """Return the statement that makes it, as ``DESCRIBE`` of Cassandra does, or in other words."""
        names = (name for name, _ in self.type.fields)
        return ddl.create_type(
            wording.qualified(self.keyspace, self.name),
            zip(map(wording.name, names), map(wording.type, self.cql_types), strict=True),
        )


@old_names(FUNCTION)
@dataclass(frozen=True, slots=True)
class Function:
    """A user-defined function.

    Attributes:
        keyspace: the keyspace that it is in.
        name: its name.
        arguments: its arguments.
        return_type: the type of what it returns, as the server writes it.
        language: what it is written in.
        body: its code.
        called_on_null_input: whether it is called if an argument is null; if not, null is what it gives.
        extra: what else a server tells of it.
    """

    keyspace: str
    name: str
    arguments: tuple[Argument, ...]
    return_type: str
    language: str
    body: str
    called_on_null_input: bool
    extra: FrozenMap[str, Any] = NOTHING

    @property
    def signature(self) -> str:
        """What tells it from others of its name: ``average(int, text)``."""
        return signature_of(self.name, self.argument_types)

    @property
    def argument_types(self) -> tuple[str, ...]:
        """The types of its arguments, as the server writes them."""
        return tuple(argument.cql_type for argument in self.arguments)

    @property
    def cql_signature(self) -> str:
        """The same as CQL, without the keyspace, as ``DROP FUNCTION`` takes it."""
        return _cql_signature(self.name, self.argument_types)

    def as_cql(self, wording: Wording = DESCRIBED) -> str:
        """Return the statement that makes it, as ``DESCRIBE`` of Cassandra does, or in other words."""
        return ddl.create_function(
            f"{wording.name(self.keyspace)}.{wording.function(self.name)}",
            ((wording.name(argument.name), wording.type(argument.cql_type)) for argument in self.arguments),
            wording.type(self.return_type),
            self.language,
            wording.body(self.body),
            called_on_null_input=self.called_on_null_input,
        )


@old_names(FUNCTION)
@dataclass(frozen=True, slots=True)
class Aggregate:
    """A user-defined aggregate.

    Attributes:
        keyspace: the keyspace that it is in.
        name: its name.
        argument_types: the types of its arguments, as the server writes them.
        state_function: the name of the function that takes the state and a row's values, and gives the next state.
        state_type: the type of the state.
        final_function: the name of the function that makes the result of the last state, None if that is the result.
        initial_condition: the first state as CQL, None for null.
        return_type: the type of the result.
        reduce_function: Scylla's: the name of the function that makes one state of two.
        extra: what else a server tells of it.
    """

    keyspace: str
    name: str
    argument_types: tuple[str, ...]
    state_function: str
    state_type: str
    final_function: str | None
    initial_condition: str | None
    return_type: str
    reduce_function: str | None = None
    extra: FrozenMap[str, Any] = NOTHING

    @property
    def signature(self) -> str:
        """What tells it from others of its name: ``average(int)``."""
        return signature_of(self.name, self.argument_types)

    @property
    def cql_signature(self) -> str:
        """The same as CQL, without the keyspace, as ``DROP AGGREGATE`` takes it."""
        return _cql_signature(self.name, self.argument_types)

    def as_cql(self, wording: Wording = DESCRIBED) -> str:
        """Return the statement that makes it, as ``DESCRIBE`` of Cassandra does, or in other words."""
        state_type = ddl.callable_type(wording.type(self.state_type))
        clauses = [f"SFUNC {wording.function(self.state_function)}", f"STYPE {state_type}"]
        if self.reduce_function is not None:
            clauses.append(f"REDUCEFUNC {wording.function(self.reduce_function)}")
        if self.final_function is not None:
            clauses.append(f"FINALFUNC {wording.function(self.final_function)}")
        if self.initial_condition is not None:
            clauses.append(f"INITCOND {self.initial_condition}")
        return ddl.create_aggregate(
            f"{wording.name(self.keyspace)}.{wording.function(self.name)}",
            map(wording.type, self.argument_types),
            clauses,
        )


def signature_of(name: str, argument_types: Iterable[str]) -> str:
    """Return what a function is known by among those of its keyspace: its name, and the types of its arguments.

    >>> signature_of("average", ["int", "text"])
    'average(int, text)'
    """
    return f"{name}({', '.join(argument_types)})"


def _cql_signature(name: str, argument_types: Iterable[str]) -> str:
    takes = (ddl.callable_type(MEANT.type(each)) for each in argument_types)
    return f"{MEANT.function(name)}({', '.join(takes)})"
