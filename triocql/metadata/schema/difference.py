"""The difference of two schemas: the steps that make one of the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from triocql.errors import UsageError
from triocql.metadata.schema import ddl
from triocql.metadata.schema.alterations import (
    alterations,
    changed_options,
    mentions,
    rewrites,
    type_alterations,
)
from triocql.metadata.schema.keyspace import Keyspace, types_in_order
from triocql.metadata.schema.steps import Phase, Risk, Step, Steps
from triocql.metadata.schema.wording import MEANT

if TYPE_CHECKING:
    from collections.abc import Callable

    from triocql.metadata.schema.alterations import TableAlterations
    from triocql.metadata.schema.callables import Aggregate, Function
    from triocql.metadata.schema.relations import Index, Table, View

_LOCAL: Final = frozenset(("system", "system_schema"))
_OWN: Final = frozenset(("system_auth", "system_distributed", "system_traces"))


class HasKeyspaces(Protocol):
    """What has a whole schema: a `Snapshot`."""

    @property
    def keyspaces(self) -> Mapping[str, Keyspace]:
        """Keyspaces by their names."""


Schema: TypeAlias = Mapping[str, Keyspace] | HasKeyspaces | Keyspace


def difference(old: Schema, new: Schema) -> tuple[Step, ...]:
    """Return the steps that make the schema `new` of the schema `old`, in an order in which a server takes them.

    Both are snapshots of a cluster (`Session.metadata`), or keyspaces by name, as `Snapshot.keyspaces` has them, or one
    keyspace at two moments. What no ALTER can do is dropped and made anew: such a
    step has the risk `Risk.LOSES_DATA`, and its `reason` begins with "cannot be altered: recreate". Identities, and
    what was dropped before, are no difference. What belongs to the server is left out, but for the replication of
    those of its keyspaces that have one.

    Raises:
        UsageError: a keyspace was not loaded; one is a keyspace, and the other one is not, or has another name.

    >>> steps = difference(before.keyspaces, after.keyspaces)                          # doctest: +SKIP
    >>> if all(step.risk is Risk.SAFE for step in steps):                              # doctest: +SKIP
    ...     for step in steps:
    ...         await session.execute(step.cql)
    """
    former, latter = _keyspaces(old), _keyspaces(new)
    if isinstance(old, Keyspace) is not isinstance(new, Keyspace) or (
        isinstance(old, Keyspace) and former.keys() != latter.keys()
    ):
        # The steps would drop what is not in the other one.
        raise UsageError(
            f"difference() takes one keyspace at two moments, or two whole schemas, not {_said(old)} and {_said(new)}"
        )
    steps = Steps()
    for name in sorted(former.keys() | latter.keys()):
        before, after = former.get(name), latter.get(name)
        if name in _LOCAL or any(each is not None and each.is_virtual for each in (before, after)):
            continue
        if after is None:
            if before is not None and name not in _OWN:
                _drop_keyspace(before, steps)
        elif before is None or before != after or not after.is_loaded:
            _Difference(before, after, steps).find()
    return steps.ordered()


def _keyspaces(schema: Schema) -> Mapping[str, Keyspace]:
    if isinstance(schema, Keyspace):
        return {schema.name: schema}
    found = schema if isinstance(schema, Mapping) else getattr(schema, "keyspaces", None)
    if not isinstance(found, Mapping) or not all(isinstance(each, Keyspace) for each in found.values()):
        raise UsageError(
            "difference() takes snapshots, keyspaces by name such as session.metadata.keyspaces, or a keyspace; "
            f"not {_said(schema)}"
        )
    return found


def _said(schema: object) -> str:
    if isinstance(schema, Keyspace):
        return f"the keyspace {schema.name!r}"
    return f"a {type(schema).__name__}"


def _drop_keyspace(keyspace: Keyspace, steps: Steps) -> None:
    risk = Risk.LOSES_DATA if keyspace.tables or not keyspace.is_loaded else Risk.SAFE
    name = MEANT.name(keyspace.name)
    steps.add(
        Phase.DROP_KEYSPACES, Step(keyspace.name, "keyspace", keyspace.name, f"DROP KEYSPACE {name};", risk)
    )


class _Difference:
    """Finds the steps of one keyspace."""

    def __init__(self, old: Keyspace | None, new: Keyspace, steps: Steps) -> None:
        self._new = new
        self._old = old or Keyspace(new.name, new.replication, is_loaded=True)
        self._is_new = old is None
        self._steps = steps
        # What is dropped and made anew: types, and the names of functions.
        self._types: set[str] = set()
        self._functions: set[str] = set()
        self._tables: dict[str, TableAlterations] = {}
        self._altered_types: set[str] = set()

    def find(self) -> None:
        """Add all steps."""
        self._keyspace()
        if self._new.name in _OWN:
            return
        self._old.check_loaded()
        self._new.check_loaded()
        self._find_types()
        self._find_functions()
        self._find_aggregates()
        self._find_tables()
        self._find_views()

    def _add(
        self, phase: Phase, kind: str, name: str, cql: str, risk: Risk = Risk.SAFE, reason: str = ""
    ) -> None:
        self._steps.add(phase, Step(self._new.name, kind, name, cql, risk, reason))

    def _named(self, name: str) -> str:
        return MEANT.qualified(self._new.name, name)

    # --- The keyspace --------------------------------------------------------------------------------------

    def _keyspace(self) -> None:
        name, options = self._new.name, self._new.cql_options
        if self._is_new:
            self._add(Phase.KEYSPACES, "keyspace", name, self._new.head_as_cql(MEANT))
            return
        before = self._old.cql_options
        changed = {option: value for option, value in options.items() if before.get(option) != value}
        if changed:
            risk = Risk.REWRITES if "replication" in changed else Risk.SAFE
            reason = "replicas move: repair afterwards" if "replication" in changed else ""
            cql = f"ALTER KEYSPACE {MEANT.name(name)} WITH {_options(changed)};"
            self._add(Phase.KEYSPACES, "keyspace", name, cql, risk, reason)

    # --- Types ---------------------------------------------------------------------------------------------

    def _find_types(self) -> None:
        old, new = self._old.types, self._new.types
        altered = {name: type_alterations(old[name], new[name]) for name in old.keys() & new.keys()}
        in_keys = self._types_in_keys()
        self._types = {
            name
            for name, clauses in altered.items()
            if clauses is None or (name in in_keys and any(each.startswith("ADD") for each in clauses))
        }
        self._altered_types = {name for name, clauses in altered.items() if clauses}
        while more := {name for name in altered if self._is_made_of(name) and name not in self._types}:
            self._types |= more
        for name in reversed(types_in_order(old)):
            if name not in new or name in self._types:
                reason = "cannot be altered: recreate" if name in new else ""
                self._add(Phase.DROP_TYPES, "type", name, f"DROP TYPE {self._named(name)};", reason=reason)
        for name in types_in_order(new):
            if name not in old or name in self._types:
                self._add(Phase.TYPES, "type", name, new[name].as_cql(MEANT))
                continue
            for clause in altered[name] or ():
                self._add(Phase.TYPES, "type", name, f"ALTER TYPE {self._named(name)} {clause};")

    def _is_made_of(self, name: str) -> bool:
        """Whether a type is made of one that is made anew."""
        return any(
            mentions(cql_type, self._types)
            for types in (self._old.types, self._new.types)
            for cql_type in types[name].cql_types
        )

    def _types_in_keys(self) -> set[str]:
        """Return the types that partition keys are made of, which get no more fields."""
        found: set[str] = set()
        texts = [column.cql_type for table in self._old.tables.values() for column in table.partition_key]
        while texts:
            text = texts.pop()
            for name, user_type in self._old.types.items():
                if name not in found and mentions(text, {name}):
                    found.add(name)
                    texts += user_type.cql_types
        return found

    # --- Functions and aggregates --------------------------------------------------------------------------

    def _find_functions(self) -> None:
        old, new = self._old.functions, self._new.functions

        def is_replaced(key: str) -> bool:
            before, after = old[key], new[key]
            types = (before.return_type, *(each.cql_type for each in before.arguments))
            return (before.return_type, before.called_on_null_input) == (
                after.return_type,
                after.called_on_null_input,
            ) and not any(mentions(each, self._types) for each in types)

        self._callables("function", old, new, is_replaced, (Phase.DROP_FUNCTIONS, Phase.FUNCTIONS))
        self._functions = {each.name for key, each in old.items() if key not in new or not is_replaced(key)}

    def _find_aggregates(self) -> None:
        old, new = self._old.aggregates, self._new.aggregates

        def is_replaced(key: str) -> bool:
            before, after = old[key], new[key]
            types = (before.return_type, before.state_type, *before.argument_types)
            functions = {before.state_function, before.final_function, before.reduce_function}
            return (
                (before.return_type, before.state_type) == (after.return_type, after.state_type)
                and not any(mentions(each, self._types) for each in types)
                and not functions & self._functions
                # A server alters no type of which it has a first state.
                and not (before.initial_condition and mentions(before.state_type, self._altered_types))
            )

        self._callables("aggregate", old, new, is_replaced, (Phase.DROP_AGGREGATES, Phase.AGGREGATES))

    def _callables(
        self,
        kind: str,
        old: Mapping[str, Function] | Mapping[str, Aggregate],
        new: Mapping[str, Function] | Mapping[str, Aggregate],
        is_replaced: Callable[[str], bool],
        phases: tuple[Phase, Phase],
    ) -> None:
        dropping, making = phases
        for key, each in old.items():
            if key not in new or not is_replaced(key):
                called = f"{MEANT.name(self._new.name)}.{each.cql_signature}"
                reason = "cannot be altered: recreate" if key in new else ""
                self._add(dropping, kind, key, f"DROP {kind.upper()} {called};", reason=reason)
        for key, each in new.items():
            if key not in old or not is_replaced(key):
                self._add(making, kind, key, each.as_cql(MEANT))
            elif each.as_cql() != old[key].as_cql():
                self._add(making, kind, key, each.as_cql(MEANT).replace("CREATE ", "CREATE OR REPLACE ", 1))

    # --- Tables --------------------------------------------------------------------------------------------

    def _find_tables(self) -> None:
        old, new = self._old.tables, self._new.tables
        for name in sorted(old.keys() - new.keys()):
            self._drop_table(old[name], "")
        for name in sorted(new):
            table, before = new[name], old.get(name)
            if before is None:
                self._create_table(table)
                continue
            altered = self._tables[name] = alterations(before, table, self._types)
            if altered.obstacle:
                self._drop_table(before, f"cannot be altered: recreate, as {altered.obstacle}")
                self._create_table(table)
            else:
                self._alter_table(before, table, altered)

    def _drop_table(self, table: Table, reason: str) -> None:
        cql = f"DROP TABLE {self._named(table.name)};"
        self._add(Phase.DROP_TABLES, "table", table.name, cql, Risk.LOSES_DATA, reason)

    def _create_table(self, table: Table) -> None:
        self._add(Phase.TABLES, "table", table.name, table.as_cql(wording=MEANT))
        for index in table.indexes.values():
            self._add(Phase.INDEXES, "index", index.name, index.as_cql(MEANT))
        for trigger in table.triggers.values():
            self._create_trigger(table, trigger.name)

    def _alter_table(self, old: Table, new: Table, altered: TableAlterations) -> None:
        alter = f"ALTER TABLE {self._named(new.name)}"
        for column in altered.dropped:
            cql = f"{alter} DROP {MEANT.name(column.name)};"
            self._add(Phase.DROP_COLUMNS, "table", new.name, cql, Risk.LOSES_DATA)
        for was, now in altered.renamed.items():
            cql = f"{alter} RENAME {MEANT.name(was)} TO {MEANT.name(now)};"
            self._add(Phase.COLUMNS, "table", new.name, cql)
        for column in altered.added:
            self._add(Phase.COLUMNS, "table", new.name, f"{alter} ADD {column.as_cql(MEANT)};")
        self._mask(old, new, altered)
        if altered.options:
            risk = Risk.REWRITES if rewrites(altered.options) else Risk.SAFE
            self._add(Phase.OPTIONS, "table", new.name, f"{alter} WITH {_options(altered.options)};", risk)
        self._find_indexes(old, new, anew=bool(altered.renamed))
        self._find_triggers(old, new)

    def _mask(self, old: Table, new: Table, altered: TableAlterations) -> None:
        """Set masks, and take them off before their functions are dropped."""
        unmasked = self._unmask(old)
        alter = f"ALTER TABLE {self._named(new.name)} ALTER"
        former = {now: was for was, now in altered.renamed.items()}
        changed = {column.name for column in altered.masked}
        changed |= {name for name in new.columns if former.get(name, name) in unmasked}
        for name in new.columns:
            mask = new.columns[name].mask
            if name in changed and mask is not None:
                cql = f"{alter} {MEANT.name(name)} MASKED WITH {mask.as_cql(MEANT)};"
                self._add(Phase.MASKS, "table", new.name, cql)
            elif name in changed and former.get(name, name) not in unmasked:
                cql = f"{alter} {MEANT.name(name)} DROP MASKED;"
                self._add(Phase.MASKS, "table", new.name, cql, reason="what it hid is shown to all")

    def _unmask(self, table: Table) -> set[str]:
        """Take off masks by functions that are dropped."""
        alter = f"ALTER TABLE {self._named(table.name)} ALTER"
        found = set()
        for column in table.columns.values():
            mask = column.mask
            if mask is not None and mask.keyspace == self._new.name and mask.name in self._functions:
                found.add(column.name)
                cql = f"{alter} {MEANT.name(column.name)} DROP MASKED;"
                self._add(Phase.DROP_MASKS, "table", table.name, cql, reason="its function is dropped")
        return found

    def _find_indexes(self, old: Table, new: Table, *, anew: bool) -> None:
        def is_kept(index: Index | None, other: Index | None) -> bool:
            return not anew and index is not None and other is not None and index.as_cql() == other.as_cql()

        for name, index in old.indexes.items():
            if not is_kept(index, new.indexes.get(name)):
                self._add(Phase.DROP_INDEXES, "index", name, f"DROP INDEX {self._named(name)};")
        for name, index in new.indexes.items():
            if not is_kept(index, old.indexes.get(name)):
                self._add(
                    Phase.INDEXES,
                    "index",
                    name,
                    index.as_cql(MEANT),
                    Risk.REWRITES,
                    "it is built of all rows",
                )

    def _find_triggers(self, old: Table, new: Table) -> None:
        for name, trigger in old.triggers.items():
            if new.triggers.get(name) != trigger:
                cql = f"DROP TRIGGER {MEANT.name(name)} ON {self._named(new.name)};"
                self._add(Phase.DROP_TRIGGERS, "trigger", name, cql)
        for name, trigger in new.triggers.items():
            if old.triggers.get(name) != trigger:
                self._create_trigger(new, name)

    def _create_trigger(self, table: Table, name: str) -> None:
        class_name = ddl.string(table.triggers[name].class_name)
        cql = f"CREATE TRIGGER {MEANT.name(name)} ON {self._named(table.name)} USING {class_name};"
        self._add(Phase.TRIGGERS, "trigger", name, cql)

    # --- Views ---------------------------------------------------------------------------------------------

    def _find_views(self) -> None:
        old, new = self._old.views, self._new.views
        for name, view in old.items():
            if name not in new or not self._is_kept(view, new[name]):
                cql = f"DROP MATERIALIZED VIEW {self._named(name)};"
                self._add(Phase.DROP_VIEWS, "materialized_view", name, cql)
        for name, view in new.items():
            if name not in old or not self._is_kept(old[name], view):
                # Of a table that stays it is built of all rows.
                table = self._tables.get(view.base_table)
                is_built = table is not None and not table.obstacle
                risk, reason = (Risk.REWRITES, "it is built of all rows") if is_built else (Risk.SAFE, "")
                self._add(Phase.VIEWS, "materialized_view", name, view.as_cql(wording=MEANT), risk, reason)
            elif options := changed_options(old[name], view):
                cql = f"ALTER MATERIALIZED VIEW {self._named(name)} WITH {_options(options)};"
                risk = Risk.REWRITES if rewrites(options) else Risk.SAFE
                self._add(Phase.OPTIONS, "materialized_view", name, cql, risk)

    def _is_kept(self, old: View, new: View) -> bool:
        """Whether a view stays: it is defined equally, and its table is nowhere altered so that it has to go."""
        table = self._tables.get(old.base_table)
        if table is None or table.obstacle or table.moves_columns:
            return False
        return _definition(old) == _definition(new)


def _definition(view: View) -> tuple[object, ...]:
    # One of all columns has those that are added to its table.
    columns = frozenset(() if view.includes_all_columns else view.columns)
    key = [(column.name, column.kind, column.descending) for column in view.primary_key]
    return view.base_table, view.where_clause, view.includes_all_columns, columns, tuple(key)


def _options(options: Mapping[str, str]) -> str:
    return " AND ".join(f"{option} = {value}" for option, value in options.items())
