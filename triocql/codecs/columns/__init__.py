"""Columns: pages of rows as batches of Arrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triocql.codecs import rows
from triocql.codecs.cache import remembered, weight_of_columns
from triocql.codecs.columns import batches
from triocql.codecs.columns.choices import Choices, choices_of, layouts_of
from triocql.codecs.columns.extras import require

if TYPE_CHECKING:
    from triocql.codecs.columns.batches import Decoder
    from triocql.codecs.rows import RowPlan

__all__ = ["Choices", "choices_of", "decoder_of", "require"]


@remembered(lambda plan, choices, only, hidden=0: weight_of_columns(plan.columns))
def decoder_of(plan: RowPlan, choices: Choices, only: int | None, hidden: int = 0) -> Decoder:
    """Return what makes batches of the pages that this plan reads: of all columns but the last `hidden`, or of one.

    Raises OptionError for a choice that there is not.
    """
    shown = plan.columns[: len(plan.columns) - hidden]
    layouts: tuple[Any, ...] = (*layouts_of(shown, choices), *[None] * hidden)
    if only is not None:
        layouts = tuple(layout if i == only else None for i, layout in enumerate(layouts))
    if type(plan) is rows.RowPlan:
        return batches.Decoder(plan.columns, layouts)
    from triocql.codecs.columns import _batches

    return _batches.Decoder(plan.columns, layouts)
