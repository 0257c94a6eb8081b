from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.benchmarks import instructions, lineup
from tests.benchmarks.compare import ONE, WORKLOADS, Ratios, of_rounds
from tests.benchmarks.contenders import Contender
from tests.benchmarks.harness import Cell, Row, started

if TYPE_CHECKING:
    from pathlib import Path


def test_ratios_are_of_the_same_rounds() -> None:
    assert of_rounds([2.0, 3.0, 9.0], [1.0, 2.0, 3.0]).values == [2.0, 1.5, 3.0]
    with pytest.raises(ValueError, match="longer"):
        of_rounds([1.0], [1.0, 1.0])


def test_the_median_of_nine_rounds_is_between_the_second_smallest_and_the_second_largest() -> None:
    ratios = Ratios([9.0, 1.0, 8.0, 2.0, 7.0, 3.0, 6.0, 4.0, 5.0])
    assert (ratios.median(), ratios.interval()) == (5.0, (2.0, 8.0))


@pytest.mark.parametrize(
    ("rounds", "cut"), [(1, 0), (5, 0), (8, 0), (9, 1), (11, 1), (12, 2), (15, 3), (100, 39)]
)
def test_the_interval_holds_95_of_100_medians(rounds: int, cut: int) -> None:
    assert Ratios([float(number) for number in range(rounds)]).interval() == (cut, rounds - 1 - cut)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([0.90, 1.00, 1.00, 1.00, 1.03, 1.20, 1.20, 1.20, 1.20], "ok"),
        ([0.90, 1.02, 1.04, 1.04, 1.04, 1.04, 1.04, 1.04, 1.04], "noisy"),
        ([0.90, 1.04, 1.04, 1.04, 1.04, 1.04, 1.04, 1.04, 1.04], "WORSE"),
        ([1.031], "WORSE"),
    ],
)
def test_worse_is_what_noise_does_not_explain(values: list[float], verdict: str) -> None:
    ratios = Ratios(values)
    assert ratios.verdict() == verdict
    line = ratios.line(ONE[0], Cell("INSERT", 1))
    assert line.startswith(f"{verdict:5} {ratios.median():.3f} (")
    assert line.endswith("INSERT 1  triocql, trio, v5: tasks awaiting execute")


def test_every_workload_of_ours_in_the_gates_is_compared() -> None:
    rows = {(row, gate.cell) for gate in lineup.GATES for row in (gate.row, gate.reference)}
    assert {workload for workload in rows if workload[0].contender.driver == "triocql"} <= set(WORKLOADS)


def test_the_total_of_a_report_is_read() -> None:
    assert instructions.total("events: Ir\nsummary: 7\n\nfn=(1) a\n0 12\n\ntotals: 12345\n") == 12345
    with pytest.raises(ValueError, match="no total"):
        instructions.total("events: Ir\nsummary: 7\n")


def test_triocql_is_imported_from_the_folder(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    package = tmp_path / "triocql"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('the other one')")
    with pytest.raises(RuntimeError, match="ended"):
        with started(Contender("triocql", "trio", folder=str(tmp_path)), 9):
            pass
    assert capfd.readouterr().err == "the other one\n"
    assert str(Row(Contender("triocql", "trio", folder="a"), "tasks")) == str(Row(lineup.TRIO, "tasks"))
