from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.spec.by_schema import faults
from xsweep.errors import SpecError
from xsweep.models.catalog import MODELS
from xsweep.spec.check_task import check_task
from xsweep.spec.load import load_sweep
from xsweep.spec.node import Findings, Node
from xsweep.spec.sweep import Arm, IntRange, Layouts, LogUniform, MaskedText, Mixture, Sampling, Space, Sweep, Training
from xsweep.tasks.catalog import CATALOG
from xsweep.tasks.task import Data, Task

SEARCH = """\
search:
  intermediate: {trials: 2, lr: {low: 1e-5, high: 5e-5}, epochs: [1, 3]}
  target: {trials: 3, lr: 2e-5, epochs: {low: 2, high: 4}}
"""
GOOD: dict[str, str] = {
    "name": "name: small\n",
    "models": "models: [xlmr-base]\n",
    "arms": "arms: [none, mnli]\n",
    "targets": "targets: [xnli]\n",
    "seeds": "seeds: 3\n",
    "search": SEARCH,
}


def load(folder: Path, **sections: str) -> Sweep:
    path = folder / "sweep.yaml"
    path.write_text("".join({**GOOD, **sections}.values()), encoding="utf-8")
    sweep = load_sweep(path)
    assert faults(path) == [], "what loads is right by the schema too"
    return sweep


def test_a_short_file_is_filled_in(tmp_path: Path) -> None:
    sweep = load(tmp_path)
    assert sweep.models == (MODELS["xlmr-base"],)
    assert sweep.arms == (Arm(name="none"), Arm(name="mnli", tasks=(CATALOG["mnli"],), family="nli"))
    assert [target.name for target in sweep.targets] == ["xnli"]
    assert sweep.targets[0].languages == CATALOG["xnli"].languages
    assert sweep.seeds == (1, 2, 3)
    assert sweep.search.intermediate == Space(
        trials=2, lr=LogUniform(low=1e-5, high=5e-5), epochs=IntRange(low=1, high=3)
    )
    assert sweep.search.target == Space(trials=3, lr=LogUniform(low=2e-5, high=2e-5), epochs=IntRange(low=2, high=4))
    assert (sweep.train, sweep.layout, sweep.keep) == (Training(), Layouts(), "parents")


def test_the_dump_is_json_and_comes_back(tmp_path: Path) -> None:
    sweep = load(tmp_path)
    assert Sweep.model_validate_json(json.dumps(sweep.model_dump(mode="json"))) == sweep


def test_long_forms(tmp_path: Path) -> None:
    sweep = load(
        tmp_path,
        arms="arms:\n  - none\n  - {name: nli, tasks: [snli, anli], examples: 3000}\n  - {name: mnli, examples: 10}\n",
        targets="targets: [{task: xnli, languages: [de, sw], examples: 1000, score_examples: 300}, xquad]\n",
        seeds="seeds: [7, 5]\n",
    )
    nli, mnli = sweep.arms[1:]
    assert (nli.name, [task.name for task in nli.tasks], nli.examples, nli.family) == (
        "nli",
        ["snli", "anli"],
        3000,
        "nli",
    )
    assert (mnli.tasks, mnli.examples) == ((CATALOG["mnli"],), 10)
    assert sweep.targets[0].languages == ("de", "sw")
    assert (sweep.targets[0].examples, sweep.targets[0].score_examples) == (1000, 300)
    assert sweep.seeds == (7, 5)


@pytest.mark.parametrize(
    ("written", "low", "high"), [("1", 1, 1), ("[1, 3]", 1, 3), ("{low: 2, high: 2}", 2, 2), ("&e [2, 5]", 2, 5)]
)
def test_epochs(tmp_path: Path, written: str, low: int, high: int) -> None:
    intermediate, target = f"{{trials: 1, lr: [1e-5, 2e-5], epochs: {written}}}", "{trials: 1, lr: 1, epochs: 1}"
    sweep = load(tmp_path, search=f"search:\n  intermediate: {intermediate}\n  target: {target}\n")
    assert sweep.search.intermediate.epochs == IntRange(low=low, high=high)
    assert sweep.search.intermediate.lr == LogUniform(low=1e-5, high=2e-5)
    assert type(sweep.search.target.lr.low) is float, "a whole number would make another content key"


def test_families_of_an_arm(tmp_path: Path) -> None:
    tasks = "tasks:\n  - {name: paws, like: mnli, family: paraphrase}\n"
    sweep = load(
        tmp_path,
        models=tasks + GOOD["models"],
        arms="""\
arms:
  - none
  - {name: both, tasks: [snli, paws]}
  - {name: odd, tasks: [paws], examples: 9, family: control}
  - paws
""",
    )
    assert [arm.family for arm in sweep.arms] == [None, "mixture", "control", "paraphrase"]


def test_mixtures(tmp_path: Path) -> None:
    arms = load(
        tmp_path,
        arms="""\
arms:
  - none
  - {name: plain, tasks: [mnli, squad_v1]}
  - name: multi
    tasks: [mnli, squad_v1, hellaswag]
    sampling: {temperature: 2, cap: 10000}
    heads: task
    weights: {squad_v1: 0.5, mnli: 1}
    mlm: {task: world_text, ratio: 0.2}
  - {name: even, tasks: [mnli, snli], sampling: uniform}
  - {name: text, tasks: [mnli], mlm: {task: world_text, ratio: 0.5}}
""",
    ).arms
    _, plain, multi, even, text = arms
    assert [arm.family for arm in arms] == [None, "mixture", "mixture", "nli", "mixture"]
    assert plain.mixture == Mixture()
    told = MaskedText(task=CATALOG["world_text"], ratio=0.2)
    sampling = Sampling(temperature=2, cap=10_000)
    assert multi.mixture == Mixture(sampling=sampling, heads="task", weights={"squad_v1": 0.5}, mlm=told)
    assert type(multi.sampling.temperature) is float
    assert [task.name for task in multi.reads] == ["mnli", "squad_v1", "hellaswag", "world_text"]
    assert even.mixture == Mixture(sampling=Sampling(shares="uniform"))
    assert text.mixture == Mixture(mlm=MaskedText(task=CATALOG["world_text"], ratio=0.5))


def test_tasks_that_are_pooled_are_no_mixture(tmp_path: Path) -> None:
    """Saying what holds anyway makes no other arm, and so no other stage."""
    said = "sampling: proportional, heads: format, weights: {snli: 1, mnli: 1.0}"
    arms = load(tmp_path, arms=f"arms:\n  - none\n  - {{name: nli, tasks: [snli, mnli], {said}}}\n").arms
    assert arms[1].mixture is None


def test_raw_text_of_the_files_own(tmp_path: Path) -> None:
    own = """\
tasks:
  - name: text
    family: text
    format: text
    metric: accuracy
    train:
      - {dataset: mlm-text, config: de, split: train}
      - {dataset: mlm-text, config: en, split: train, folds: [0, 1, 2, 3, 4, 5, 6, 7, 8]}
    selection: {dataset: mlm-text, config: en, split: train, folds: [9]}
"""
    arms = "arms: [none, {name: a, tasks: [mnli], mlm: {task: text, ratio: 0.25}}]\n"
    mlm = load(tmp_path, models=own + GOOD["models"], arms=arms).arms[1].mlm
    assert mlm is not None
    assert [data.config for data in mlm.task.train] == ["de", "en"]


def test_a_task_like_another(tmp_path: Path) -> None:
    own = """\
tasks:
  - name: mine
    like: xnli
    train: {dataset: a/b, split: train, folds: [0, 1], columns: {premise: text}}
    selection:
      - {dataset: a/b, split: train, folds: [2]}
    languages: [en, "no"]
    language_names: {no: nb}
"""
    task = load(tmp_path, models=own + GOOD["models"], targets="targets: [mine]\n").targets[0].task
    xnli = CATALOG["xnli"]
    assert task.train == (Data(dataset="a/b", split="train", folds=(0, 1), columns={"premise": "text"}),)
    assert task.selection == (Data(dataset="a/b", split="train", folds=(2,)),)
    assert (task.languages, task.language_names) == (("en", "no"), {"no": "nb"})
    assert (task.name, task.labels, task.test, task.tokens) == ("mine", xnli.labels, xnli.test, xnli.tokens)
    assert task.rows is None, "the rows of another training set"


def test_a_task_like_one_with_names_for_its_languages(tmp_path: Path) -> None:
    own = "tasks: [{name: mine, like: tydiqa, max_length: 256}]\n"
    task = (
        load(tmp_path, models=own + GOOD["models"], targets="targets: [{task: mine, languages: [ko]}]\n")
        .targets[0]
        .task
    )
    assert task == CATALOG["tydiqa"].model_copy(update={"name": "mine", "max_length": 256})
    few = "tasks: [{name: mine, like: tydiqa, languages: [ko, en]}]\n"
    task = load(tmp_path, models=few + GOOD["models"], targets="targets: [mine]\n").targets[0].task
    assert task.language_names == {"en": "english", "ko": "korean"}


def test_a_task_like_one_whose_languages_lie_apart_takes_some_of_them(tmp_path: Path) -> None:
    for chosen, apart in (("[en, de]", set()), ("[en, lt]", {"lt"})):
        own = f"tasks: [{{name: mine, like: udpos, languages: {chosen}}}]\n"
        task = load(tmp_path, models=own + GOOD["models"], targets="targets: [mine]\n").targets[0].task
        assert task.elsewhere == {code: CATALOG["udpos"].elsewhere[code] for code in apart}


def test_a_task_of_its_own_words(tmp_path: Path) -> None:
    own = """\
tasks:
  - name: yesno
    family: commonsense
    format: pair
    labels: [no, yes]
    metric: accuracy
    train: {dataset: a/b, split: train}
    selection: {dataset: a/b, split: dev}
"""
    task = load(tmp_path, models=own + GOOD["models"], arms="arms: [none, yesno]\n").arms[1].tasks[0]
    assert task.labels == ("no", "yes")


def test_corpora_to_mine(tmp_path: Path) -> None:
    own = """\
tasks:
  - name: bucc
    like: bucc2018
    languages: [zh]
    test:
      dataset: own/bucc
      config: '{language}-en'
      split: gold
      columns: {query_id: source_id, candidate_id: target_id}
      queries: {dataset: own/bucc, config: '{language}-en', split: foreign}
      candidates: {dataset: own/bucc, config: '{language}-en', split: english, columns: {text: sentence}}
"""
    (target,) = load(tmp_path, models=own + GOOD["models"], targets="targets: [bucc]\n").targets
    assert not target.trained
    assert target.task.test
    assert target.task.test.sides()["candidates"].columns == {"text": "sentence"}


def test_a_task_like_one_with_names_of_its_own_for_languages(tmp_path: Path) -> None:
    own = "tasks: [{name: some, like: tatoeba, max_length: 64}]\n"
    (target,) = load(tmp_path, models=own + GOOD["models"], targets="targets: [some]\n").targets
    assert target.task.language_names == CATALOG["tatoeba"].language_names


def test_models(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "config.json").write_text("{}")
    sweep = load(
        tmp_path,
        models="""\
models:
  - xlmr-base
  - {name: e5-L2, id: intfloat/multilingual-e5-small-L2, pooling: mean}
  - {name: mean, like: xlmr-base, pooling: mean}
  - {name: here, path: local}
  - {name: other, like: xlmr-large, path: ./local/, pooling: mean}
""",
    )
    base, e5, mean, here, other = sweep.models
    assert (e5.id, e5.pooling) == ("intfloat/multilingual-e5-small-L2", "mean")
    assert mean == base.model_copy(update={"name": "mean", "pooling": "mean"})
    assert here.path == str(tmp_path / "local")
    assert (other.path, other.id, other.params, other.ladder) == (str(tmp_path / "local"), "", None, "xlmr")


def test_a_path_is_taken_from_the_file_wherever_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub" / "model").mkdir(parents=True)
    (tmp_path / "sub" / "model" / "config.json").write_text("{}")
    (tmp_path / "sub" / "s.yaml").write_text("".join({**GOOD, "models": "models: [{name: a, path: model}]\n"}.values()))
    monkeypatch.chdir(tmp_path)
    assert load_sweep("sub/s.yaml").models[0].path == str(tmp_path / "sub" / "model")


def test_a_head_may_be_carried_where_every_arm_has_one(tmp_path: Path) -> None:
    arms = (
        "arms: [none, mnli, {name: both, tasks: [squad_v1, mnli]}, {name: longer, control: compute-matched, of: mnli}]"
    )
    sweep = load(tmp_path, arms=f"{arms}\n", keep="train: {carry: encoder+head}\n")
    assert sweep.train.carry == "encoder+head"


def test_names_come_from_the_catalogues_that_are_given(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("".join(GOOD.values()))
    with pytest.raises(SpecError, match="there is no task 'mnli'"):
        load_sweep(path, tasks={"xnli": CATALOG["xnli"]})
    with pytest.raises(SpecError, match="there is no model 'xlmr-base'"):
        load_sweep(path, models={})


@pytest.mark.parametrize("task", CATALOG.values(), ids=lambda task: task.name)
def test_the_catalogue_keeps_the_rules_for_tasks(task: Task) -> None:
    found = Findings("catalogue")
    check_task(task, Node({}, 1, 1, task.name), found)
    assert [str(problem) for problem in found.problems] == []


def loads_or_says_why(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        load_sweep(path)
    except SpecError as error:
        problems = list(map(str, error.problems))
    else:
        return
    assert problems
    assert all(problem.isprintable() for problem in problems), problems


FUZZ = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)


@FUZZ
@given(st.binary(max_size=200))
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    loads_or_says_why(tmp_path / "s.yaml", data)


@FUZZ
@given(st.text(alphabet=st.sampled_from("ab:-[]{}&*!#%@|>'\"\\ \n\t,.?0x1e~\u2028\x85é\0"), max_size=60))
@example("? [a]\n: b")
@example('"a\\u2028b": 1')
@example("a: !<> b")
@example("- !!binary |\n")
def test_any_yaml_like_text(tmp_path: Path, text: str) -> None:
    loads_or_says_why(tmp_path / "s.yaml", text.encode())


VOCABULARY = """
name like id path xlmr-base xnli mnli none tasks train selection test languages folds en dataset split config low high
lr epochs trials labels columns without seed 3 0 -1 1e-5 true null no .inf .nan [] {} 9999999999999999999999
"""
WORDS = st.sampled_from(VOCABULARY.split())


def flow(value: str | list[str] | dict[str, str]) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {item}' for key, item in value.items())}}}"
    return f"[{', '.join(value)}]" if isinstance(value, list) else value


TREES: st.SearchStrategy[str] = st.recursive(
    WORDS,
    lambda inner: (st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4)).map(flow),
    max_leaves=12,
)


@FUZZ
@given(st.dictionaries(st.sampled_from([*Sweep.model_fields, "tasks"]), TREES, max_size=5))
def test_any_values_in_the_right_places(tmp_path: Path, values: dict[str, str]) -> None:
    sections = {**GOOD, **{name: f"{name}: {value}\n" for name, value in values.items()}}
    loads_or_says_why(tmp_path / "s.yaml", "".join(sections.values()).encode())


@FUZZ
@given(st.integers(0, 10_000), st.sampled_from([b"", b"\0", b"[", b"}", b": ", b"'", b"\t", b"\xff", b"&a *a ", b"\n"]))
def test_a_good_file_damaged_anywhere(tmp_path: Path, at: int, damage: bytes) -> None:
    good = "".join(GOOD.values()).encode()
    at %= len(good)
    loads_or_says_why(tmp_path / "s.yaml", good[:at] + damage + good[at + 1 :])


def test_controls(tmp_path: Path) -> None:
    arms = (
        "arms:\n  - none\n  - snli\n  - {name: blind, tasks: [snli, mnli], control: shuffled-labels, examples: 10}\n"
        "  - {name: mnli, control: compute-matched, of: snli}\n"
    )
    _, _, blind, longer = load(tmp_path, arms=arms).arms
    pooled = (CATALOG["snli"], CATALOG["mnli"])
    assert blind == Arm(name="blind", tasks=pooled, control="shuffled-labels", family="control", examples=10)
    assert longer == Arm(name="mnli", control="compute-matched", of="snli", family="control"), "its name is no task"
    assert (blind.trained, longer.trained) == (True, False)


def test_a_translated_copy_is_left_out_by_the_folds_of_its_original(tmp_path: Path) -> None:
    original = "{dataset: alisawuffles/WANLI, split: train, columns: {label: gold}, folds: [1, 2, 3, 4, 5, 6, 7, 8, 9]}"
    train = f"{{dataset: org/wanli_de, split: train, translation_of: {original}}}"
    tasks = f"tasks: [{{name: wanli_de, like: wanli, train: {train}}}]\n"
    (_, arm) = load(tmp_path, tasks=tasks, arms="arms: [none, wanli_de]\n").arms
    (data,) = arm.tasks[0].train
    assert data.translation_of == CATALOG["wanli"].train[0]
    assert arm.tasks[0].selection == CATALOG["wanli"].selection
