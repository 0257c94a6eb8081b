"""The compiled twin of `rows`: the same names and the same behaviour."""

from triocql.codecs.rows import Page as Page
from triocql.codecs.rows import RowCursor as RowCursor
from triocql.codecs.rows import RowPlan as RowPlan
