"""What a task is: plain data, written once in the catalogue or declared in a sweep file in the same words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

Part = Literal["train", "selection", "test"]
"""The three roles of rows: trained on, chosen by (English only), scored."""

Scoring = Literal["squad", "squad_v2", "mlqa"]
"""Whose official evaluation scores answers; ``squad_v2`` also lets questions have none."""

Family = Literal[
    "nli", "qa", "paraphrase", "completion", "commonsense", "tagging", "retrieval", "text", "mixture", "control"
]


class Declared(BaseModel):
    """A frozen value with no unknown fields; every declaration of a sweep derives from it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Data(Declared):
    """Which rows: one split of one configuration of one data set."""

    dataset: str
    """Hub id, such as ``facebook/xnli``."""
    config: str = "default"
    """Configuration; ``{language}`` stands for the language's name in this data set."""
    split: str
    revision: str | None = None
    """Commit of the hub repository; a mirror folder has only one."""
    columns: Mapping[str, str | tuple[str, ...]] = {}
    """The format's own column name -> the data set's, where they differ: ``outer.inner`` for a field of a struct,
    and for ``choices`` a list of columns, one a choice."""
    labels: tuple[str, ...] = ()
    """Names of integer labels in order, where the data set carries no names of its own; for multiple choice
    what the data set writes for the first, the second, ... choice."""
    questions: Mapping[str, str] = {}
    """Value of the column ``question`` -> what is asked, where the data set gives a code (multiple choice)."""
    blank: Literal["refuse", "drop"] = "refuse"
    """What to do about rows of which a text is empty: say so and stop, or leave them out and count them."""
    where: Mapping[str, str] = {}
    """Keep rows whose text in this column of the data set begins so; ``{language}`` as in ``config``."""
    folds: tuple[int, ...] = ()
    """Tenths (0 to 9) of the rows to keep, by a hash of the example's group; empty keeps all."""
    recipe: str = ""
    """How to make the mirror folder of rows that no hub has; such rows are read from a mirror only."""
    translation_of: Data | None = None
    """The rows that these are a translation of: as many, in one order, equal in ids (where both have any) and labels.
    They go by the ids of the original, and where it leaves rows out so do they."""
    without: Data | None = None
    """Drop every group (premise, paragraph) that occurs in these rows."""
    queries: Data | None = None
    """Retrieval: the texts (columns ``id`` and ``text``) that these rows name by ``query_id``."""
    candidates: Data | None = None
    """Retrieval: the texts searched (``id`` and ``text``), which these rows name by ``candidate_id``; or, for
    questions, the ``sentence_breaks`` of each ``context``."""

    def sides(self) -> dict[str, Data]:
        """``queries`` and ``candidates``, those that are declared."""
        both = {"queries": self.queries, "candidates": self.candidates}
        return {name: data for name, data in both.items() if data is not None}


class Task(Declared):
    """A task: rows for each part, a format, and the metric that counts."""

    name: str
    family: Family
    format: Literal["pair", "span", "text", "choice", "tag", "retrieval"]
    labels: tuple[str, ...] = ()
    """Label names in the order of the head's outputs; only pairs and tags have any."""
    metric: Literal["accuracy", "f1", "map20"]
    """For retrieval also the procedure: nearest neighbour (accuracy), mining (f1) or ranking (map20)."""
    scoring: Scoring = "squad"
    """The evaluation that answers are scored by (span tasks)."""
    train: tuple[Data, ...]
    """Rows trained on; none for retrieval by a model as it comes (Tatoeba, BUCC)."""
    selection: tuple[Data, ...]
    """English rows that hyperparameters are chosen by; disjoint from anything scored."""
    test: Data | None = None
    """Rows scored, per language; none for a task that only serves as an intermediate."""
    languages: tuple[str, ...] = ()
    elsewhere: Mapping[str, Data] = {}
    """Language -> its test rows, where they do not lie with the others."""
    language_names: Mapping[str, str] = {}
    """Canonical language code -> its name in the data set's configurations, where they differ."""
    max_length: int = 128
    """Longest input in tokens. A longer pair is cut at its longer side, the context of a choice at its start, and
    both are counted; a longer paragraph or sentence is read in windows."""
    stride: int = 0
    """Tokens shared by neighbouring windows of one context (span tasks)."""
    pool: Literal["language", "all"] = "language"
    """Retrieval: candidates of the query's own configuration, or of every language that is scored; rows of equal id
    then mean the same in all."""
    licence: str = ""
    rows: int | None = None
    """Training rows as published, for plans made before the data is seen."""
    tokens: int | None = None
    """Mean tokens of a training row, for the same purpose."""
    test_rows: int | None = None
    """Rows scored per language as published, for the same purpose."""

    @property
    def one_list(self) -> bool:
        """Whether every language's queries are searched in one declared list of candidates (Mewsli-X)."""
        listed = self.test.candidates if self.test else None
        return self.pool == "all" and listed is not None and "{language}" not in listed.config
