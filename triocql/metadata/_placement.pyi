"""The compiled twin of `placement`: the same name and the same behaviour."""

from triocql.metadata.placement import Placement as Placement
