"""Load, check and fingerprint all that a sweep reads, before anything runs. Touches data and models, never Ray."""

from __future__ import annotations

from collections.abc import Callable

from xsweep.errors import DataError, EnvironmentProblem
from xsweep.models.folder import cached_model_print, count_params, model_folder, model_print, width
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
    models, params = {}, {}
    for model in sweep.models:
        note(f"checking model {model.name}")
        models[model.name] = model_print(model, sources)
        params[model.name] = count_params(model_folder(model, sources))
    return Prints(splits, models, params, _widths(sweep, sources))


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
        params = {model.name: count_params(model_folder(model, sources)) for model in sweep.models}
        widths = _widths(sweep, sources)
    except (DataError, EnvironmentProblem):
        return None
    return Prints(splits, {name: digest for name, digest in models.items() if digest}, params, widths)


def _widths(sweep: Sweep, sources: Sources) -> dict[str, int]:
    """Model -> width, where learning rates are scaled by it."""
    return {m.name: width(model_folder(m, sources)) for m in sweep.models} if sweep.search.transfer else {}
