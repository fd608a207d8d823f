from __future__ import annotations

from xsweep.train.cache import Recent


def test_the_longest_unused_goes_first() -> None:
    made: list[str] = []
    recent: Recent[int] = Recent(10, lambda size: size)

    def ask(key: str, size: int = 4) -> int:
        return recent.get(key, lambda: made.append(key) or size)  # type: ignore[func-returns-value]

    ask("a")
    ask("b")
    ask("a")
    ask("c")
    ask("a")
    assert made == ["a", "b", "c"]
    ask("b")
    assert made == ["a", "b", "c", "b"]


def test_one_value_too_large_stays_until_the_next() -> None:
    recent: Recent[int] = Recent(10, lambda size: size)
    recent.get("a", lambda: 3)
    assert recent.get("large", lambda: 100) == 100
    assert recent.get("large", lambda: 0) == 100
    assert recent.get("a", lambda: 4) == 4
