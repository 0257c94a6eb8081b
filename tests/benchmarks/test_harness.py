from __future__ import annotations

from tests.benchmarks import imports, lineup, report, server
from tests.benchmarks.contenders import Contender
from tests.benchmarks.harness import Cell, Figures, Row, Spent, measure

CELL = Cell("SELECT", 32)


def test_a_contender_runs_its_rounds() -> None:
    row, said = Row(Contender("raw socket", "trio", version=4), "windows"), list[str]()
    with server.running() as port:
        figures = measure({CELL: [row]}, port, rounds=4, seconds=0.001, progress=said.append)
    assert len(figures.rounds[row, CELL]) == 6  # two in each of three settings
    assert figures.cpu(row, CELL) > 0
    assert figures.rate(row, CELL) > 0
    assert said == [f"SELECT 32 in flight, processes {number} of 3" for number in (1, 2, 3)]


def test_medians_and_ratios_are_of_rounds() -> None:
    figures = Figures()
    gate = lineup.GATES[0]
    row, cell = gate.row, gate.cell
    figures.rounds[row, cell] = [Spent(1.0, 2.0), Spent(4.0, 2.0), Spent(10.0, 4.0)]
    figures.rounds[lineup.ACSYLLA, cell] = [Spent(10.0, 1.0), Spent(10.0, 1.0), Spent(20.0, 1.0)]
    assert figures.cpu(row, cell) == 4.0
    assert figures.rate(row, cell) == 500_000
    assert figures.ratio(row, lineup.ACSYLLA, cell) == 0.4
    assert gate.passed(figures)
    assert gate.line(figures).startswith("ok    0.40 (most 0.45)  INSERT 100  CPU time: triocql, trio, v5")
    assert figures.ratio(row, lineup.ACSYLLA, cell, "wall") == 2.0
    assert [each for each in lineup.GATES if each.measured(figures)] == [gate]
    text = report.tables(figures, [row, lineup.ACSYLLA], [cell], markdown=False)
    lines = [line for line in text.splitlines() if line.endswith(("4.00", "10.00"))]
    assert len({len(line) for line in lines}) == 1
    assert "| --- | ---: |" in report.tables(figures, [row], [cell], markdown=True)


def test_the_gates_are_measured_with_everything_and_alone() -> None:
    needed = {(row, gate.cell) for gate in lineup.GATES for row in (gate.row, gate.reference)}
    for gates in (False, True):
        plan = lineup.plan(gates=gates, quick=False)
        measured = {(row, cell) for cell, rows in plan.items() for row in rows}
        assert needed <= measured
        assert gates == (needed == measured)


def test_the_header_names_the_versions() -> None:
    assert "acsylla" in report.header()


def test_import_times_are_measured() -> None:
    assert 0 < imports.import_time("json", rounds=1) < 60
