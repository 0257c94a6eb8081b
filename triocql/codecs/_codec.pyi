"""The compiled twins of `rows` and `bind`: the same names and the same behaviour."""

from triocql.codecs.bind import Binder as Binder
from triocql.codecs.rows import Page as Page
from triocql.codecs.rows import RowCursor as RowCursor
from triocql.codecs.rows import RowPlan as RowPlan
