"""Tables with rows of their own: read by ranges of tokens, page by page, as a scan reads them.

What is known of SELECT here is what a scan says: columns, ``token(...)``, ``count(*)``, writetimes and ttls; conditions
on the token and on columns that are bound; LIMIT.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from .answers import Message, Rows, error, rows_body
from .encoder import Column, Opcode
from .errorcodes import ErrorCode
from .log import normal
from .performance import Performance, Step
from .requests import Request
from .schema import Schema, Table, split_list, split_name
from .scylla.timeouts import without_timeout
from .tokens import MIN_TOKEN, composite, token_of
from .types import parse_type
from .wire import BadRequest

if TYPE_CHECKING:
    from .priming import Rule


_SELECT = re.compile(
    r"select (?P<terms>.+?) from (?P<table>\S+)(?: where (?P<where>.+?))?(?P<limit> limit \?)?(?: allow filtering)?$",
    re.IGNORECASE,
)
_CONDITION = re.compile(r"(?P<term>\S.*?) ?(?P<relation><=|>=|=|<|>) ?\?$")
_FUNCTION = re.compile(r"(?P<name>\w+) ?\((?P<of>.*)\)(?: as (?P<alias>\S+))?$", re.IGNORECASE)
_RELATIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}


class TableRow(NamedTuple):
    """A row in its place."""

    token: int
    key: tuple[Any, ...]
    values: Mapping[str, Any]


class _State(NamedTuple):
    """Where a page begins: after so many rows of a token; how many rows were given before; and a number of its own."""

    token: int
    rows: int
    given: int
    serial: int

    def encode(self) -> bytes:
        return "/".join(map(str, self)).encode()

    @classmethod
    def decode(cls, state: bytes) -> _State:
        try:
            return cls(*map(int, state.split(b"/")))
        except (TypeError, ValueError):
            raise BadRequest(f"Invalid value for the paging state: {state!r}") from None


@dataclass
class _Fault:
    step: Step
    node: int | None
    left: int | None


class ServedTable:
    """The rows of a table that is in the schema of a server: made by `CqlServer.serve_table`.

    Attributes:
        name: the table with its keyspace.
        page: tells how many rows a page is to have, if it is not to have as many as were asked for: called with the
            request and that number. 0 gives an empty page, after which others follow.
        pages: how many pages were given.
        about: which statements it answers.
        step: answers them.
        rule: the rule by which it does.
    """

    rule: Rule

    def __init__(self, schema: Schema, name: str, rows: Iterable[Sequence[Any] | Mapping[str, Any]]) -> None:
        self.name = name
        self.page: Callable[[Request, int], int] = lambda request, rows: rows
        self.pages = 0
        self._schema = schema
        self._faults: dict[int, _Fault] = {}
        self.rows: list[TableRow] = []
        self.set(rows)
        self.about = re.compile(rf"(?i)^\s*select\b.*\bfrom {re.escape(name)}(?=\s|$)")
        self.step = _Answer(Opcode.RESULT, _Described({}, [[]], served=self), served=self)

    @property
    def table(self) -> Table:
        """The table as the schema has it now."""
        found = self._schema.table(self.name, None)
        if found is None:
            raise LookupError(f"unconfigured table {self.name}")
        return found

    def set(self, rows: Iterable[Sequence[Any] | Mapping[str, Any]]) -> None:
        """Have other rows."""
        names = list(self.table.columns)
        values = [row if isinstance(row, Mapping) else self._named(names, row) for row in rows]
        self.rows = sorted((self._placed(row) for row in values), key=lambda row: (row.token, row.key))

    def _named(self, names: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
        if len(row) != len(names):
            raise ValueError(f"{row!r} has {len(row)} values, and {self.name} the columns {', '.join(names)}")
        return dict(zip(names, row, strict=True))

    def token(self, *key: Any) -> int:
        """Return the token of a partition, by the values of its key."""
        table = self.table
        cells = [
            self._schema.type(table.columns[name], table.keyspace).cell(value)
            for name, value in zip(table.partition_key, key, strict=True)
        ]
        return token_of(composite([cell or b"" for cell in cells]))

    def fail(self, token: int, step: Step, *, node: int | None = None, times: int | None = None) -> None:
        """Answer with `step` in place of each page that would have a row of `token`, as often as `times` says, and
        where it comes from one node only.
        """
        self._faults[token] = _Fault(step, node, times)

    def heal(self) -> None:
        """Fail no more."""
        self._faults.clear()

    # --- What requests get ---------------------------------------------------------------------------------

    def columns(self, request: Request) -> list[Column]:
        """Return the columns of what a request asks for. Raises LookupError if there is one that is none."""
        return [column for column, _ in self._terms(request)]

    def answer(self, request: Request) -> bytes | Step:
        """Return the body of the answer to a request, or what happens in its place."""
        terms = self._terms(request)
        match = _parsed(request)
        rows = list(self._matching(request, match))
        limit = request.decoded_values[-1] if match["limit"] else None
        if match["terms"].lower() == "count(*)":
            fault = self._fault(request, rows)
            return fault or rows_body(request, [terms[0][0]], [[len(rows).to_bytes(8, "big")]])
        start = _State(MIN_TOKEN - 1, 0, 0, 0)
        if request.paging_state is not None:
            start = _State.decode(request.paging_state)
        rows = _after(rows, start)
        if limit is not None:
            rows = rows[: limit - start.given]
        size = request.page_size if request.page_size and request.page_size > 0 else max(len(rows), 1)
        page = rows[: self.page(request, size)]
        fault = self._fault(request, page)
        if fault is not None:
            return fault
        self.pages += 1
        cells = [[column.type.cell(make(row)) for column, make in terms] for row in page]
        return rows_body(
            request, [column for column, _ in terms], cells, _state_after(start, page, rows, self.pages)
        )

    def _matching(self, request: Request, match: re.Match[str]) -> Iterator[TableRow]:
        values = iter(request.decoded_values)
        conditions = []
        for text in re.split(r" and ", match["where"] or "", flags=re.IGNORECASE):
            if text:
                found = _CONDITION.match(text)
                if found is None:
                    raise LookupError(f"the test server cannot read the condition {text!r}")
                conditions.append((found["term"], found["relation"], next(values)))
        for row in self.rows:
            if all(self._holds(row, *each) for each in conditions):
                yield row

    def _holds(self, row: TableRow, term: str, relation: str, value: Any) -> bool:
        if term.lower().startswith("token"):
            if relation in ("<=", ">") and value == MIN_TOKEN:
                return True  # as Cassandra has it: the least token stands for both ends
            return _RELATIONS[relation](row.token, value)
        found = row.values.get(split_name(term, None)[1])
        return found is not None and _RELATIONS[relation](found, value)

    def _fault(self, request: Request, rows: Sequence[TableRow]) -> Step | None:
        for row in rows:
            fault = self._faults.get(row.token)
            if fault is not None and fault.left != 0 and fault.node in (None, request.node.index):
                fault.left = None if fault.left is None else fault.left - 1
                return fault.step
        return None

    def _terms(self, request: Request) -> list[tuple[Column, Callable[[TableRow], Any]]]:
        table = self.table
        text = _parsed(request)["terms"]
        names = list(table.columns) if text == "*" else list(split_list(text))
        return [self._term(table, name) for name in names]

    def _term(self, table: Table, text: str) -> tuple[Column, Callable[[TableRow], Any]]:
        function = _FUNCTION.match(text)
        if function is not None and '"' not in text.split("(")[0]:
            return self._function(table, function)
        name = split_name(text, None)[1]
        if name not in table.columns:
            raise LookupError(f"Undefined column name {name} in table {self.name}")
        type_ = self._schema.type(table.columns[name], table.keyspace)
        return Column(table.keyspace, table.name, name, type_), lambda row: row.values.get(name)

    def _function(self, table: Table, match: re.Match[str]) -> tuple[Column, Callable[[TableRow], Any]]:
        kind = match["name"].lower()
        alias = split_name(match["alias"], None)[1] if match["alias"] else f"system.{kind}({match['of']})"
        if kind == "token":
            return Column(table.keyspace, table.name, alias, parse_type("bigint")), lambda row: row.token
        if kind == "count":
            return Column(table.keyspace, table.name, "count", parse_type("bigint")), len
        if kind.removeprefix("max") not in ("writetime", "ttl"):
            raise LookupError(
                f"the test server does not know what {kind}() of a served table is: answer the statement by "
                "server.when(...)"
            )
        name = f"{kind.removeprefix('max')}({split_name(match['of'], None)[1]})"
        type_ = parse_type("int" if kind == "ttl" else "bigint")
        return Column(table.keyspace, table.name, alias, type_), lambda row: row.values.get(name)

    def _placed(self, values: Mapping[str, Any]) -> TableRow:
        table = self.table
        key = tuple(values[name] for name in (*table.partition_key, *table.clustering))
        return TableRow(self.token(*key[: len(table.partition_key)]), key, values)


def _parsed(request: Request) -> re.Match[str]:
    text = request.text if request.node.scylla is None else without_timeout(request.text)
    match = _SELECT.match(normal(text))
    if match is None:
        raise LookupError(f"the test server cannot read {request.text!r}")
    return match


def _after(rows: list[TableRow], state: _State) -> list[TableRow]:
    """Return the rows from where a page begins."""
    before = sum(row.token < state.token for row in rows)
    same = sum(row.token == state.token for row in rows)
    return rows[before + min(state.rows, same) :]


def _state_after(
    start: _State, page: Sequence[TableRow], rows: Sequence[TableRow], serial: int
) -> bytes | None:
    if len(page) == len(rows):
        return None
    if not page:
        return start._replace(serial=serial).encode()
    token = page[-1].token
    count = sum(row.token == token for row in page) + (start.rows if token == start.token else 0)
    return _State(token, count, start.given + len(page), serial).encode()


@dataclass(frozen=True)
class _Described(Rows):
    """What PREPARE tells of the rows."""

    served: ServedTable | None = field(default=None, repr=False)

    def described(self, request: Request) -> list[Column]:
        """Return the columns as the request's answer has them."""
        assert self.served is not None
        return self.served.columns(request)


@dataclass(frozen=True)
class _Answer(Message):
    served: ServedTable | None = field(default=None, repr=False)

    def perform(self, performance: Performance) -> None:
        assert self.served is not None
        request = performance.request
        try:
            found = self.served.answer(request)
        except LookupError as problem:
            found = error(ErrorCode.INVALID, str(problem.args[0]))
        if isinstance(found, Step):
            found.perform(performance)
        else:
            performance.answer(Opcode.RESULT, found)
