"""The README's example of a scripted report, as it stands there; run on a finished sweep by ``test_end_to_end``."""

import polars as pl

from xsweep import build_plan, estimate, gain_curves, load_sweep, read_runs, run, write_report

file = "tiny.yaml"
plan = build_plan(load_sweep(file))
for line in estimate(plan).lines:
    print(f"{line.stage}: {line.runs} stages instead of {line.needed}, {line.flops} FLOPs")

outcome, report = run(file, store="runs")  # or go on with it: nothing is trained twice
print(f"{outcome.done} of {outcome.cells} cells are scored. {report.finding}")

runs = read_runs(file, store="runs")  # a Polars frame: one row per run, language and metric
print(runs.filter("primary").group_by("model", "arm", "language").agg(pl.col("score").mean()))

curves = gain_curves(runs)  # one row per size, arm and target
for row in curves.sort("arm", "target", "params").iter_rows(named=True):
    print(row["params"], row["arm"], row["target"], row["estimate"], row["low"], row["high"])

print(write_report(file, store="runs").page)
