"""Multiple choice: sentence completion, commonsense, and which of two events is cause or effect."""

from __future__ import annotations

from xsweep.tasks.task import Data, Task

_LETTERS = ("A", "B", "C", "D", "E")
_ASKED = {"cause": "What was the cause?", "effect": "What was the effect?"}
"""XTREME-R's wording (google-research/xtreme, third_party/run_xcopa.py)."""


def _hellaswag(split: str) -> Data:
    return Data(
        dataset="Rowan/hellaswag",
        split=split,
        columns={"context": "ctx", "choices": "endings"},
        labels=("0", "1", "2", "3"),
    )


def _cosmosqa(split: str) -> Data:
    return Data(
        dataset="allenai/cosmos_qa",
        split=split,
        revision="refs/convert/parquet",
        columns={"choices": ("answer0", "answer1", "answer2", "answer3")},
        labels=("0", "1", "2", "3"),
    )


def _commonsenseqa(split: str) -> Data:
    columns = {"context": "question", "choices": "choices.text", "label": "answerKey"}
    return Data(dataset="tau/commonsense_qa", split=split, columns=columns, labels=_LETTERS)


def _socialiqa(split: str) -> Data:
    return Data(
        dataset="allenai/social_i_qa",
        split=split,
        revision="refs/convert/parquet",
        columns={"choices": ("answerA", "answerB", "answerC")},
        labels=("1", "2", "3"),
    )


def _causal(dataset: str, config: str, split: str, id_: str = "idx") -> Data:
    """COPA, or data made like it."""
    columns = {"context": "premise", "choices": ("choice1", "choice2"), "id": id_}
    return Data(dataset=dataset, config=config, split=split, columns=columns, labels=("0", "1"), questions=_ASKED)


COPA_TEST = _causal("pkavumba/balanced-copa", "default", "test", "id")
"""The 500 rows of COPA's test set with their labels, which SuperGLUE's copy hides."""

TASKS = (
    Task(
        name="hellaswag",
        family="completion",
        format="choice",
        metric="accuracy",
        train=(_hellaswag("train"),),
        selection=(_hellaswag("validation"),),
        max_length=160,
        licence="MIT",
        rows=39_905,
        tokens=337,
    ),
    Task(
        name="cosmosqa",
        family="commonsense",
        format="choice",
        metric="accuracy",
        train=(_cosmosqa("train"),),
        selection=(_cosmosqa("validation"),),
        max_length=256,
        licence="CC BY 4.0",
        rows=25_262,
        tokens=470,
    ),
    Task(
        name="commonsenseqa",
        family="commonsense",
        format="choice",
        metric="accuracy",
        train=(_commonsenseqa("train"),),
        selection=(_commonsenseqa("validation"),),
        licence="MIT",
        rows=9_741,
        tokens=114,
    ),
    Task(
        name="socialiqa",
        family="commonsense",
        format="choice",
        metric="accuracy",
        train=(_socialiqa("train"),),
        selection=(_socialiqa("validation"),),
        licence="CC BY 4.0",
        rows=33_410,
        tokens=104,
    ),
    Task(
        name="copa",
        family="commonsense",
        format="choice",
        metric="accuracy",
        train=(_causal("aps/super_glue", "copa", "train"),),
        selection=(_causal("aps/super_glue", "copa", "validation"),),
        test=COPA_TEST,
        languages=("en",),
        licence="BSD 2-Clause",
        rows=400,
        tokens=51,
    ),
    # XTREME-R trains on Social IQa and then on COPA; here both are one stage, their rows shuffled together.
    Task(
        name="xcopa",
        family="commonsense",
        format="choice",
        metric="accuracy",
        train=(_socialiqa("train"), _causal("aps/super_glue", "copa", "train")),
        selection=(_socialiqa("validation"), _causal("aps/super_glue", "copa", "validation")),
        test=_causal("cambridgeltl/xcopa", "{language}", "test"),
        elsewhere={"en": COPA_TEST},
        languages=("en", "et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh"),
        licence="CC BY 4.0 (XCOPA, Social IQa), BSD 2-Clause (COPA)",
        rows=33_810,
        tokens=103,
        test_rows=500,
    ),
)
