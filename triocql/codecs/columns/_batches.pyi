"""The compiled twin of `batches`: the same names and the same behaviour, without pyarrow."""

from triocql.codecs.columns.batches import Decoder as Decoder
