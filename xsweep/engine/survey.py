"""Load, check and fingerprint all that a sweep reads, before anything runs. Touches data and models, never Ray."""

from __future__ import annotations

from collections.abc import Callable

from xsweep.errors import DataError, EnvironmentProblem
from xsweep.models.fit import check_tasks, longest_input
from xsweep.models.folder import cached_model_print, count_params, family_of, model_folder, model_print, shape_of
from xsweep.models.model import Model
from xsweep.plan.prints import Prints, readings
from xsweep.spec.sweep import Sweep
from xsweep.tasks.examples import cached_fingerprint, fingerprint
from xsweep.tasks.source import Sources


def survey(sweep: Sweep, sources: Sources, note: Callable[[str], None] = lambda _: None) -> Prints:
    """Fingerprint every split and every model of the sweep; unchanged ones come from the cache.

    Raises ``DataError`` with every fault found, one a line, and ``EnvironmentProblem`` for a model that
    cannot be used.
    """
    splits: dict[str, str] = {}
    faults: list[str] = []
    for reading in readings(sweep):
        note(f"checking {reading.name}")
        try:
            splits[reading.name] = fingerprint(reading.task, reading.part, sources, reading.language)
        except DataError as fault:
            faults.append(str(fault))
    if faults:
        raise DataError("\n".join(dict.fromkeys(faults)))
    models, params, shapes = {}, {}, {}
    for model in sweep.models:
        note(f"checking model {model.name}")
        models[model.name] = checked_print(sweep, model, sources)
        folder = model_folder(model, sources)
        params[model.name], shapes[model.name] = count_params(folder), (family_of(folder).model_type, shape_of(folder))
    return Prints(splits, models, params, shapes)


def checked_print(sweep: Sweep, model: Model, sources: Sources) -> str:
    """The print of a model that opens and can do every task of the sweep; raises ``EnvironmentProblem`` of another.

    What opens is remembered by its print, so that it is opened once.
    """
    digest, folder = model_print(model, sources), model_folder(model, sources)
    longest = sources.remember("longest", digest, lambda: str(longest_input(folder)))
    tasks = [*(task for arm in sweep.arms for task in arm.reads), *(target.task for target in sweep.targets)]
    check_tasks(folder, None if longest == "None" else int(longest), tasks)
    return digest


def cached_survey(sweep: Sweep, sources: Sources) -> Prints | None:
    """The survey from what is remembered, reading no rows; None while anything in it is unverified."""
    try:
        splits: dict[str, str] = {}
        for reading in readings(sweep):
            digest = cached_fingerprint(reading.task, reading.part, sources, reading.language)
            if digest is None:
                return None  # at once: the hub may have to be asked about each of the others
            splits[reading.name] = digest
        models = {model.name: cached_model_print(model, sources) for model in sweep.models}
        if None in models.values():
            return None
        folders = {model.name: model_folder(model, sources) for model in sweep.models}
        params = {name: count_params(folder) for name, folder in folders.items()}
        shapes = {name: (family_of(folder).model_type, shape_of(folder)) for name, folder in folders.items()}
    except (DataError, EnvironmentProblem):
        return None
    return Prints(splits, {name: digest for name, digest in models.items() if digest}, params, shapes)
