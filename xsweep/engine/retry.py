"""`xsweep retry`: what ended for good, but not well, is opened again, so that the next run tries it once more.

Any run tries again what failed: a manifest that says ``failed`` is not final. A stage that diverged is done with, since
the same seed on the same machine diverges again; after a change of library, driver or machine it may not.
"""

from __future__ import annotations

from collections.abc import Iterator

from xsweep.engine.studies import Suggestions
from xsweep.plan.records import collect
from xsweep.plan.resolve import Resolver
from xsweep.plan.study import Study, Trial
from xsweep.store.manifests import Manifest


def reopen(resolver: Resolver) -> int:
    """Open again every diverged stage that nothing was decided by; returns how many.

    Those are the reporting stages, and the trials of searches that came to no decision. Trials of decided searches
    stay: the decision stands, and so do the results that rest on it. Raises ``StoreBusy`` while a sweep runs.
    """
    with resolver.store.lease():
        reported = (r.manifest for r in collect(resolver) if r.role == "report" and r.manifest)
        found = {m.key: m for m in (*reported, *_trials(resolver)) if m.status == "diverged"}
        for key in found:
            resolver.store.reopen(key)
    return len(found)


def _trials(resolver: Resolver) -> Iterator[Manifest]:
    for cell in resolver.plan.searches:
        study = resolver.study(cell)
        if study is not None and resolver.store.decision(study.address) is None:
            yield from _ended(resolver, study)


def _ended(resolver: Resolver, study: Study) -> Iterator[Manifest]:
    """Manifests of the stages of all trials of a study that have ended."""
    suggestions, ended = Suggestions(study), dict[int, Trial]()
    while True:
        found = {}
        for number, hyper in suggestions.possible(ended):
            manifests = [resolver.store.manifest(stage.key) for stage in resolver.trials(study, hyper)]
            last = manifests[-1]
            if number not in ended and last is not None and last.final:
                found[number] = Trial(number, hyper, last.key, last.status, last.metrics.get("score"))
                yield from (manifest for manifest in manifests if manifest is not None)
        if not found:
            return
        ended |= found
