from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any

import polars as pl
import pytest

from tests import made_up
from tests.report.test_figures import contrast
from xsweep.errors import EnvironmentProblem
from xsweep.report import page
from xsweep.report.page import write_report
from xsweep.tracking.frames import scores_from_records

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Text by element, every address that a browser would load, and whether the tags are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self.cells: list[list[str]] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")
        for name, value in attrs:
            self.ids += [value or ""] if name == "id" else []
            self.loads += [value or ""] if name in ("src", "href", "xlink:href", "srcset", "poster", "data") else []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)
            if {"td", "th"} & set(self.open):
                self.cells[-1][-1] += data

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def report(
    folder: Path,
    sweep: Any = None,
    word_blind: Any = MappingProxyType({}),
    regret: Any = None,
    results: Any = None,
    **how: Any,
) -> tuple[Page, Path]:
    sweep = sweep or made_up.sweep()
    records = made_up.records(sweep, **how)
    path = write_report(
        folder, sweep, "# a <sweep> file\nname: made-up\n", records, scores_from_records(records),
        command="xsweep run made-up.yaml", tracking_note="See http://127.0.0.1:5000 for every run.",
        caveats=["This is no scaling law."], word_blind=word_blind, regret=regret, results=results,
    ).page  # fmt: skip
    return Page(path.read_text("utf-8")), path


@pytest.fixture(scope="module")
def standard(tmp_path_factory: pytest.TempPathFactory) -> tuple[Page, Path]:
    """The page of the whole made-up sweep, for tests that only read it."""
    return report(tmp_path_factory.mktemp("standard"))


def test_answer_comes_first_with_its_interval(standard: tuple[Page, Path]) -> None:
    found, _ = standard
    assert "At large (560M parameters), the largest model here" in found.text
    assert "+1.5 points for NLI by snli and anli (95 % interval +0.9 to +2.1, 3 seeds)" in found.text
    assert "+0.5 points for QA by squad (95 % interval −0.1 to +1.1, 3 seeds)" in found.text
    assert "nothing here speaks about models beyond 1B" in found.text
    assert "This is no scaling law." in found.text
    assert "24 of 24" not in found.text
    assert "48 of 48 cells scored" in found.text
    assert (
        "3 seeds: a pilot. The intervals lean on normal scatter, and no exact test of so few can go below p = 0.25."
        in (found.text)
    )
    assert "every cell of the sweep has its score" in found.text
    assert found.text.index("+1.5 points for NLI by") < found.text.index("Every gain")


def test_nothing_is_loaded_from_outside(standard: tuple[Page, Path]) -> None:
    found, path = standard
    assert all(address.startswith(("#", "data:text/csv")) for address in found.loads)
    text = path.read_text("utf-8")
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", text, re.DOTALL)
    assert [kind for kind, _ in scripts] == [' type="application/json" id="runs"', ""]
    allowed = base64.b64encode(hashlib.sha256(scripts[1][1].encode()).digest()).decode()
    assert (
        f"default-src &#39;none&#39;; style-src &#39;unsafe-inline&#39;; script-src &#39;sha256-{allowed}&#39;" in text
    )
    assert not re.search(r"url\((?!#)|@import|<link|<iframe", text)
    # Plain text, given by the caller, and the head's http-equiv.
    assert text.count("http") == text.count("http://127.0.0.1:5000") + 1
    assert len(found.ids) == len(set(found.ids))
    assert {a.removeprefix("#") for a in found.loads if a.startswith("#")} <= set(found.ids)


def test_the_same_results_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        report(tmp_path / name, missing=[("small", "anli", "xnli", 2)])
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert {"report.html", "tables/gains.csv", "figures/gain_vs_params.png"} <= {str(f) for f in files}
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


def test_times_stand_apart(standard: tuple[Page, Path]) -> None:
    _, path = standard
    assert ",3,31.5" in (path.parent / "tables" / "budgets_times.csv").read_text()
    for file in [path, *(path.parent / "tables").glob("*.csv")]:
        assert file.name == "budgets_times.csv" or "seconds," not in file.read_text()


def test_one_seed_has_no_interval_anywhere(tmp_path: Path) -> None:
    found, _ = report(tmp_path, made_up.sweep(seeds=(1,)))
    assert "(one seed, so no interval)" in found.text
    assert "includes zero" not in found.text
    assert " to +" not in found.text


def test_holes_are_said_at_the_top_and_listed(tmp_path: Path) -> None:
    cell = ("large", "snli", "xquad", 3)
    found, _ = report(tmp_path, missing=[cell], statuses={("target", cell): "diverged"})
    assert "1 cell of 48 has no score" in found.text
    assert ["large", "snli", "xquad", "3", "evaluate", "not run", "–"] in found.cells
    assert "2 of 3 seeds" in found.text
    assert "The answer so far" in found.text


def test_a_sweep_that_has_not_begun_has_a_page_too(tmp_path: Path) -> None:
    sweep = made_up.sweep()
    grid = product(("small", "large"), made_up.FAMILIES, ("xnli", "xquad"), sweep.seeds)
    found, _ = report(tmp_path, sweep, missing=list(grid))
    assert "There is no estimate yet." in found.text
    assert "0 of 48 cells scored" in found.text


def test_the_largest_model_without_an_estimate_is_named(tmp_path: Path) -> None:
    cells = [("large", "none", target, seed) for target in ("xnli", "xquad") for seed in (1, 2, 3)]
    found, _ = report(tmp_path, missing=cells)
    assert "At small (100M parameters), the largest model with an estimate" in found.text
    assert "The largest model of the sweep, large, has no estimate yet." in found.text


def test_same_data_and_degenerate_cells_are_marked(tmp_path: Path) -> None:
    cell = ("small", "anli", "xnli", 1)
    found, _ = report(tmp_path, same_data=[("squad", "xquad")], statuses={("target", cell): "degenerate"})
    marks = {mark: [c for row in found.cells for c in row if mark in c] for mark in "†‡"}
    assert any(c.startswith("+0.5†") for c in marks["†"])
    assert any(c.startswith("+1.0‡") for c in marks["‡"])
    assert "QA: squad on xnli." in found.text
    assert "kept in every mean: 1 gain of those below" in found.text


def test_families_that_weigh_targets_alike_are_compared_without_a_warning(tmp_path: Path) -> None:
    pairs = [(arm, "xnli") for arm in ("snli", "anli", "squad")]
    assert "weigh the targets differently" not in report(tmp_path, same_data=pairs)[0].text
    assert "weigh the targets differently" in report(tmp_path, same_data=pairs[1:2])[0].text


def test_a_family_with_nothing_but_same_data_has_no_headline(tmp_path: Path) -> None:
    found, _ = report(tmp_path, same_data=[("squad", "xquad"), ("squad", "xnli")])
    assert "There is no estimate for QA." in found.text
    assert "every cell shares training data with its target" in found.text


def test_sizes_too_close_for_a_slope_are_said(tmp_path: Path) -> None:
    near = made_up.SMALL.model_copy(update={"name": "near", "params": 110_000_000})
    found, _ = report(tmp_path, made_up.sweep(models=[made_up.SMALL, near]))
    assert "differ by a factor of 1.1 only, 2 without the embeddings" in found.text


def test_gains_on_the_page_are_those_of_the_table(standard: tuple[Page, Path]) -> None:
    found, path = standard
    table = pl.read_csv(path.parent / "tables" / "gains.csv")
    mean = table.filter(model="large", arm="anli", target="xquad")["estimate"].item()
    row = next(row for row in found.cells if row[0].startswith("anli") and "to" in row[-1])
    assert row[-1].startswith(f"+{mean:.1f}")


def test_tables_inside_the_page_are_the_files(standard: tuple[Page, Path]) -> None:
    found, path = standard
    inside = [base64.b64decode(a.partition(",")[2]).decode() for a in found.loads if a.startswith("data:")]
    files = {f.read_text() for f in (path.parent / "tables").glob("*.csv") if f.name != "budgets_times.csv"}
    assert set(inside) == files


def test_text_from_outside_is_escaped(tmp_path: Path) -> None:
    found, path = report(tmp_path, made_up.sweep(description="<script>alert(1)</script>"))
    assert "<script>alert" not in path.read_text("utf-8")
    assert "<script>alert(1)</script>" in found.text
    assert "# a <sweep> file" in found.text


def test_one_target_has_one_figure(tmp_path: Path) -> None:
    sweep = made_up.sweep(targets=made_up.sweep().targets[:1])
    found, _ = report(tmp_path, sweep)
    assert "Target by target" not in found.text
    assert not {"gain_by_target", "gain_by_group"} & {f.stem for f in (tmp_path / "figures").glob("*.svg")}


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match="file"):
        report(tmp_path / "file" / "out")


def test_text_stands_out_in_light_and_dark() -> None:
    css = (Path(page.__file__).parent / "page.css").read_text()
    light, dark, _ = (dict(re.findall(r"--([\w-]+): (#\w{6});", block)) for block in css.split(":root")[1:4])
    for colours in (light, dark):
        for text in ("ink", "muted", "link", "lack"):
            assert contrast(colours[text], colours["paper"]) >= 4.5
            assert contrast(colours[text], colours["sheet"]) >= 4.5
        assert contrast(colours["ink"], colours["warn"]) >= 4.5


def test_control_arms_are_shown_and_are_in_no_family(tmp_path: Path) -> None:
    blind = [("small", "snli-shuffled", None, 0), ("large", "snli-shuffled", None, 0)]
    statuses: dict[Any, Any] = {("intermediate", cell): "degenerate" for cell in blind}
    found, path = report(tmp_path, made_up.controlled(), statuses=statuses, scores=made_up.controlled_score)
    nli = "+1.5 points for NLI by snli and anli (95 % interval +0.9 to +2.1, 3 seeds)"
    families = f"{nli} and +0.5 points for QA by squad (95 % interval"
    assert f"in languages other than English by {families}" in found.text
    assert (
        "Controls, which are in no family: +0.2 points for snli-shuffled (95 % interval +0.2 to +0.2, 3 seeds) and "
        "+0.5 points for longer (95 % interval +0.5 to +0.5, 3 seeds)." in found.text
    )
    assert "Degenerate runs are marked" not in found.text
    row = next(row for row in found.cells if row[0].startswith("longercontrol"))
    assert row[1].startswith("+0.5")
    assert any("2 degenerate, as this control should be" in cell for row in found.cells for cell in row)
    assert "snli-shuffled trains on shuffled labels" in found.text
    assert "longer trains each target as long as both stages of snli" in found.text
    assert "72 of 72 cells scored" in found.text
    tables = {name: pl.read_csv(path.parent / "tables" / f"{name}.csv") for name in ("family_gains", "paired_gains")}
    assert set(tables["family_gains"]["family"]) == {"nli", "qa"}
    assert set(tables["paired_gains"].filter(family="control")["arm"]) == {"snli-shuffled", "longer"}
    assert "control" not in (path.parent / "figures" / "gain_vs_params.csv").read_text()


def test_a_sweep_of_controls_alone_has_a_page(tmp_path: Path) -> None:
    whole = made_up.controlled()
    arms = tuple(arm for arm in whole.arms if arm.name in ("none", "snli-shuffled"))
    found, _ = report(tmp_path, whole.model_copy(update={"arms": arms}), scores=made_up.controlled_score)
    assert "There are controls alone, so there is no estimate." in found.text


def test_controls_of_the_artificial_world_stand_beside_the_models(tmp_path: Path) -> None:
    plain, _ = report(tmp_path / "plain")
    assert "Without knowing a word" not in plain.text
    used = made_up.sweep()
    name, languages = used.targets[0].name, used.targets[0].languages
    found, path = report(tmp_path / "blind", used, {name: dict.fromkeys(languages, 99.0), "other": {"en": 30.0}})
    assert f"{name}: the control reaches the models, so this task measures copying or places" in found.text
    assert "not in this sweep" in found.text
    assert (path.parent / "tables" / "controls.csv").is_file()
    low, _ = report(tmp_path / "low", used, {name: dict.fromkeys(languages, 1.0)})
    assert f"{name}: the best model is above the control in every language" in low.text


def runs_of(path: Path) -> dict[str, Any]:
    """What the page's script is given."""
    (text,) = re.findall(r'id="runs">(.*?)</script>', path.read_text("utf-8"), re.DOTALL)
    found: dict[str, Any] = json.loads(text)
    return found


def test_every_point_knows_its_runs_and_where_they_are_tracked(tmp_path: Path) -> None:
    sweep = made_up.sweep()
    records = made_up.records(sweep)
    scores = scores_from_records(records)
    key = scores.filter(model="small", arm="snli", target="xnli", seed=2)["key"][0]
    path = write_report(
        tmp_path, sweep, "name: made-up", records, scores, command="c", tracking_note="n",
        addresses={key: "http://127.0.0.1:5000/#/run", "unknown": "http://127.0.0.1:5000/#/other"},
    ).page  # fmt: skip
    data = runs_of(path)
    assert len(data["runs"]) == 48
    run = next(row for row in data["runs"] if row[-1] == key)
    named = dict(zip(data["columns"], run, strict=True))
    assert (data["models"][named["model"]], data["arms"][named["arm"]], named["seed"]) == ("small", "snli", 2)
    assert named["score"] == pytest.approx(59.0)  # (60 + 50) / 2 + 2 of the seed + 2 of the arm
    assert data["addresses"] == {key: "http://127.0.0.1:5000/#/run"}
    points = pl.read_csv(path.parent / "figures" / "gain_vs_params.csv")
    assert len(data["marks"]["gain_vs_params"]["wide"]) == points.height


def test_a_reviewers_questions_are_answered_from_the_data(standard: tuple[Page, Path]) -> None:
    found, _ = standard
    for said in (
        "3 reporting seeds (1, 2, 3), none of which trained a trial of a search.",
        "2 trials (learning rate 1e-05 to 0.001, epochs 1 to 3)",
        "There is none in this sweep, so more training alone may explain a gain.",
        "One ladder, made-up: small, large.",
        "NLI 2 (snli, anli) and QA 1 (squad): too few for claims about families, so tasks are named.",
        "Above 1B: no model.",
    ):
        assert said in found.text, said
    assert "The sweep file's SHA-256 begins with" in found.text


def test_figures_come_as_three_files_with_their_points(standard: tuple[Page, Path]) -> None:
    _, path = standard
    names = {
        "gain_vs_params", "gain_by_target", "gain_by_group", "gain_scales", "gain_english_others", "gain_heat_map",
        "slope_forest", "scores_vs_params", "expected_best", "run_outcomes",
    }  # fmt: skip
    for name in names:
        assert {f.suffix for f in (path.parent / "figures").glob(f"{name}.*")} == {
            ".svg", ".png", ".pdf", ".csv", ".parquet"
        }  # fmt: skip
    assert {f.stem for f in (path.parent / "figures").iterdir()} == names
