"""The grammar of a table's options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .writer import TEXTS, option_map, text

if TYPE_CHECKING:
    from .writer import Writer

_POLICIES = [
    "NONE",
    "ALWAYS",
    "99p",
    "95PERCENTILE",
    "99.9p",
    "50ms",
    "MIN(99p,50ms)",
    "MAX(90percentile, 100MS)",
]
_SSTABLES = "org.apache.cassandra.db.compaction."
_COMPACTIONS: list[dict[str, str]] = [
    {"class": "SizeTieredCompactionStrategy"},
    {
        "class": "SizeTieredCompactionStrategy",
        "min_threshold": "6",
        "max_threshold": "12",
        "bucket_high": "1.7",
    },
    {"class": f"{_SSTABLES}SizeTieredCompactionStrategy", "enabled": "false"},
    {"class": "LeveledCompactionStrategy", "sstable_size_in_mb": "64", "fanout_size": "8"},
    {
        "class": "LeveledCompactionStrategy",
        "tombstone_threshold": "0.3",
        "unchecked_tombstone_compaction": "true",
    },
    {
        "class": "TimeWindowCompactionStrategy",
        "compaction_window_unit": "HOURS",
        "compaction_window_size": "6",
        "unsafe_aggressive_sstable_expiration": "false",
    },
]
_UNIFIED: list[dict[str, str]] = [
    {"class": "UnifiedCompactionStrategy"},
    {
        "class": "UnifiedCompactionStrategy",
        "scaling_parameters": "T4, L8, N",
        "target_sstable_size": "512MiB",
    },
]
_COMPRESSIONS: list[dict[str, str]] = [
    {"enabled": "false"},
    {"class": "SnappyCompressor"},
    {"class": "DeflateCompressor", "chunk_length_in_kb": "64", "min_compress_ratio": "1.1"},
    {"class": "LZ4Compressor", "lz4_compressor_type": "high", "lz4_high_compressor_level": "12"},
    {"class": "org.apache.cassandra.io.compress.ZstdCompressor", "compression_level": "5"},
    {"class": "NoopCompressor"},
]


def write_options(
    writer: Writer, *, counter: bool = False, view: bool = False, transient: bool = False
) -> list[str]:
    """Draw options of a table or a view, as they stand after WITH."""
    found = []

    def one(feature: str, *written: str) -> None:
        if writer.sometimes(feature, 3):
            found.append(writer.pick(written))

    one("comments", *(f"comment = {text(each)}" for each in (writer.draw(TEXTS), writer.draw(TEXTS))))
    compactions = _COMPACTIONS + (_UNIFIED if writer.server.vectors else [])
    one("compaction", *(f"compaction = {option_map(each)}" for each in compactions))
    one("compression", *(f"compression = {option_map(each)}" for each in _COMPRESSIONS))
    one(
        "caching",
        *(
            f"caching = {option_map({'keys': keys, 'rows_per_partition': rows})}"
            for keys in ("ALL", "NONE")
            for rows in ("ALL", "NONE", "120")
        ),
    )
    one("speculative_retry", *(f"speculative_retry = {text(each)}" for each in _POLICIES))
    one("additional_write_policy", *(f"additional_write_policy = {text(each)}" for each in _POLICIES))
    one(
        "bloom filters", *(f"bloom_filter_fp_chance = {each}" for each in ("0.1", "0.0001", "0.00025", "1.0"))
    )
    one(
        "crc_check_chance",
        *(f"crc_check_chance = {each}" for each in ("0.5", "0.0", "0.0001", "0.123456789")),
    )
    one("gc_grace_seconds", "gc_grace_seconds = 3600", "gc_grace_seconds = 2147483647")
    one("index intervals", "min_index_interval = 64 AND max_index_interval = 512", "max_index_interval = 128")
    one("memtable_flush_period_in_ms", "memtable_flush_period_in_ms = 3600000")
    if not counter and not view:
        one("TTLs", "default_time_to_live = 3600", "default_time_to_live = 630720000")
    if transient:
        writer.has("tables of transient replication")
        found.append("read_repair = 'NONE'")
    else:
        one("read_repair", "read_repair = 'NONE'")
    if writer.server.cdc and not view:
        one("cdc", "cdc = true", "cdc = false")
    if writer.server.memtables:
        one("memtables", "memtable = 'trie'", "memtable = 'default'")
    if writer.server.series >= "5.0":
        one("backups and snapshots", "allow_auto_snapshot = false", "incremental_backups = false")
    return found
