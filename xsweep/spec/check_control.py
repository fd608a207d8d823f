"""Rules of control arms: what is shuffled has labels, and what is lengthened has something to be as long as."""

from __future__ import annotations

from xsweep.spec.check import Part, unique
from xsweep.spec.node import Findings, Node, shown
from xsweep.spec.sweep import CONTROL, Arm, Target
from xsweep.spec.words import did_you_mean
from xsweep.tasks.shuffled import SHUFFLED


def controls(arms: list[Part[Arm]], targets: list[Target], found: Findings) -> None:
    """Every control among ``arms`` fits the others, and the targets."""
    names = [arm.name for arm, _ in arms if arm.trained]
    for arm, place in arms:
        if arm.control and arm.family != CONTROL:
            found.add(place, f"a control is of the family {CONTROL}; leave it out", "family")
        if arm.control == "compute-matched":
            _lengthened(arm, place, names, targets, found)
        elif arm.of is not None:
            found.add(place, "is for `control: compute-matched`", "of")
        if arm.control == "shuffled-labels":
            for index, task in enumerate(arm.tasks):
                if task.train and task.format != "text" and task.format not in SHUFFLED:  # text is said elsewhere
                    found.add(place, f"a {task.format} task has no labels to shuffle", "tasks", index)
    matched = [part for part in arms if part.value.control == "compute-matched" and part.value.of]
    unique(matched, lambda arm: arm.of, "as long as another control", found)


def _lengthened(arm: Arm, place: Node, names: list[str], targets: list[Target], found: Findings) -> None:
    for field in ("tasks", "examples"):
        if getattr(arm, field):
            found.add(place, "a compute-matched control has no intermediate stage, so nothing to train one on", field)
    if arm.of is None:
        found.add(place, "is missing: the arm whose steps it has", "of")
    elif arm.of not in names:
        hint = did_you_mean(arm.of, names)
        found.add(place, f"there is no arm {shown(arm.of)} with an intermediate stage{hint}", "of")
    if targets and not any(target.trained for target in targets):
        found.add(place, "no target is trained, so none can be lengthened", "control")
