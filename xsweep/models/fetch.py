"""A model's files brought from the hub into a folder of a mirror."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

from xsweep.errors import EnvironmentProblem
from xsweep.models.folder import FILES, check_model_folder
from xsweep.models.model import Model
from xsweep.store.files import guarded
from xsweep.tasks.hub import one_line

_RECORDS = Path(".cache", "huggingface")
"""Where the hub's client notes, in the folder, which files it has fetched."""


def fetch(model: Model, folder: Path, note: Callable[[str], None] = lambda _: None) -> bool:
    """Bring into ``folder`` what it lacks of the files that a fingerprint covers; returns whether that was anything.

    A file stands under its name once it is whole. A folder that was not fetched, such as one that ``xsweep convert``
    made, is left as it is. Raises ``EnvironmentProblem`` when the hub has no such model or does not answer, when it has
    the weights as pickles alone, and when ``check_model_folder`` refuses what is there.
    """
    if folder.is_dir() and not (folder / _RECORDS).is_dir():
        check_model_folder(folder)
        return False
    commit, files = _listed(model)
    if not any(name.endswith(".safetensors") for name in files):
        name = model.id.rpartition("/")[2]
        how = f"`hf download {model.id} --local-dir {name}`, then `xsweep convert {name} {folder}`, then this again"
        raise EnvironmentProblem(f"model {model.name}: {model.id} has no safetensors, only pickles: {how}")
    before = _states(folder, files)
    with guarded(folder):
        _download(model, commit, folder)
        after = _states(folder, files)
    check_model_folder(folder)
    if fetched := [name for name in files if before[name] != after[name]]:
        note(f"fetched {model.id}: {', '.join(fetched)}")
    return bool(fetched)


def _listed(model: Model) -> tuple[str, list[str]]:
    """The commit that the model is at, and its files that are wanted."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = HfApi().model_info(model.id, revision=model.revision, timeout=30)
    except (RepositoryNotFoundError, HFValidationError) as error:
        what = f"the hub has no such model as {model.id}, or it is gated; is the name right?"
        raise EnvironmentProblem(f"model {model.name}: {what}") from error
    except RevisionNotFoundError as error:
        raise EnvironmentProblem(f"model {model.name}: {model.id} has no revision {model.revision!r}") from error
    except Exception as error:  # whatever the hub client's HTTP library of the day raises
        what = f"the hub did not answer ({one_line(error)}); run the same command again"
        raise EnvironmentProblem(f"model {model.name}: {what}") from error
    names = [sibling.rfilename for sibling in info.siblings or ()]
    return str(info.sha), [name for name in names if any(fnmatch(name, pattern) for pattern in FILES)]


def _download(model: Model, commit: str, folder: Path) -> None:
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(model.id, revision=commit, allow_patterns=list(FILES), local_dir=folder)
    except Exception as error:  # as above
        if isinstance(error, OSError) and error.errno and not isinstance(error, ConnectionError):
            raise  # of the disk
        what = f"{model.id} could not be fetched ({one_line(error)}); run the same command again to go on"
        raise EnvironmentProblem(f"model {model.name}: {what}") from error


def _states(folder: Path, names: list[str]) -> dict[str, tuple[int, int] | None]:
    """Size and time of each file; None for one that is not there."""
    found: dict[str, tuple[int, int] | None] = {}
    for name in names:
        path = folder / name
        found[name] = (path.stat().st_size, path.stat().st_mtime_ns) if path.is_file() else None
    return found
