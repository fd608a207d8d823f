from __future__ import annotations

import math
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xsweep.tasks.answers import MLQA_LANGUAGES, exact_match, f1, normalise, normaliser
from xsweep.tasks.metrics import mean_points


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("The  Eiffel Tower!", "eiffel tower"),
        ("a.m.", "am"),  # punctuation goes before articles, so "a.m." is not "m"
        ("An apple a day", "apple day"),
        ("theatre", "theatre"),
        ("«Ça»", "«ça»"),  # only ASCII punctuation is taken away
        ("die Straße", "die straße"),
        ("1,000", "1000"),
        ("the", ""),
    ],
)
def test_normalise_known_answers(raw: str, plain: str) -> None:
    assert normalise(raw) == plain


@pytest.mark.parametrize(
    ("prediction", "golds", "em", "score"),
    [
        ("Denver Broncos", ["Denver Broncos"], 1, 1.0),
        ("the Broncos", ["Denver Broncos"], 0, 2 / 3),  # precision 1/1, recall 1/2
        ("Denver Broncos won it", ["Carolina", "Denver Broncos"], 0, 2 / 3),  # precision 2/4, recall 2/2
        ("one one two", ["one two two"], 0, 2 / 3),  # bags: one once, two once
        ("Berlin", ["Paris"], 0, 0.0),
        ("", ["Paris"], 0, 0.0),
        ("the", ["a"], 1, 0.0),  # nothing left on both sides: equal, but no token in common, as in v1.1
        ("1946 年", ["1946 年的"], 0, 0.5),
    ],
)
def test_scores_computed_by_hand(prediction: str, golds: list[str], em: int, score: float) -> None:
    assert exact_match(prediction, golds) == em
    assert f1(prediction, golds) == pytest.approx(score)


@settings(deadline=None)
@given(st.text(), st.lists(st.text(), min_size=1, max_size=3), st.text())
def test_scores_stay_in_range_and_never_fall_with_another_gold(text: str, golds: list[str], other: str) -> None:
    assert 0.0 <= f1(text, golds) <= f1(text, [*golds, other]) <= 1.0
    assert exact_match(text, golds) <= exact_match(text, [*golds, other])
    assert exact_match(text, [*golds, text]) == 1
    if exact_match(text, golds) and normalise(text):
        assert f1(text, golds) == 1.0


@settings(deadline=None)
@given(st.text())
def test_casing_spacing_and_articles_do_not_matter(text: str) -> None:
    assert normalise(f"  the {text}\n") == normalise(text)


@pytest.mark.parametrize(
    ("language", "raw", "plain"),
    [
        ("en", "The “Eiffel” Tower—", "eiffel tower"),  # punctuation of any script, not of ASCII alone
        ("en", "5 € + tax", "5 € tax"),  # a sign of money is no punctuation; the ASCII signs are taken away
        ("de", "Die Straße des 17. Juni", "straße 17 juni"),
        ("de", "the Straße", "the straße"),  # each language has its own articles
        ("es", "¿El perro y los gatos?", "perro y gatos"),
        ("vi", "những con mèo của tôi", "con mèo tôi"),
        ("hi", "एक शहर।", "एक शहर"),
        ("ar", "البيت الكبير،", "بيت كبير"),
        ("ar", "مثال", "مث"),  # the official expression takes the two letters out of words as well
        ("zh", "北京2008年奥运会。", "北 京 2008 年 奥 运 会"),
        ("zh", "Windows 95系统", "windows 95 系 统"),
    ],
)
def test_mlqa_normalisation_by_hand(language: str, raw: str, plain: str) -> None:
    assert normaliser("mlqa", language)(raw) == plain


def test_mlqa_scores_by_hand() -> None:
    chinese = normaliser("mlqa", "zh")
    assert exact_match("《北京》", ["北京"], chinese) == 1
    assert f1("北京市", ["北京"], chinese) == pytest.approx(2 * 2 / 5)  # precision 2/3, recall 2/2
    assert f1("北京市", ["北京"]) == 0.0  # under SQuAD's rules an unspaced answer is one token
    arabic = normaliser("mlqa", "ar")
    assert exact_match("البيت", ["بيت"], arabic) == 1
    assert exact_match("البيت", ["بيت"]) == 0


def test_mlqa_knows_seven_languages() -> None:
    assert sorted(MLQA_LANGUAGES) == ["ar", "de", "en", "es", "hi", "vi", "zh"]
    with pytest.raises(KeyError):
        normaliser("mlqa", "th")


@settings(deadline=None)
@given(st.text(), st.sampled_from(sorted(MLQA_LANGUAGES)))
def test_mlqa_normalisation_leaves_no_punctuation_and_single_spaces(text: str, language: str) -> None:
    plain = normaliser("mlqa", language)(text)
    assert not [char for char in plain if unicodedata.category(char).startswith("P")]
    assert plain == " ".join(plain.split())
    assert plain == plain.lower() or text.lower() != text.lower().lower()


def test_mean_points() -> None:
    assert mean_points([1, 0, 1, 1]) == 75.0
    assert math.isnan(mean_points([]))
