"""Whether the parts of a model's folder go together, and whether the model can do what tasks ask of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from xsweep.errors import EnvironmentProblem, XsweepError
from xsweep.models.folder import family_of
from xsweep.tasks.hub import one_line
from xsweep.tasks.task import Task


def longest_input(folder: Path) -> int | None:
    """The longest input in tokens, None without a bound, once the folder is known to open; reads no weights.

    Raises ``EnvironmentProblem`` where weights, configuration and tokenizer are not of one model, or unreadable.
    """
    # They bring torch, which those who ask once and remember the answer do not need.
    from xsweep.models.load import empty_encoder, fitting_tokenizer, positions
    from xsweep.models.weights import Weights

    try:
        encoder = empty_encoder(folder, None)
        Weights(folder).check(encoder)
        fitting_tokenizer(folder, encoder)
    except XsweepError:
        raise
    except Exception as error:  # whatever `transformers` and `tokenizers` make of a damaged file
        what = f"`transformers` cannot open it ({type(error).__name__}: {one_line(error)})"
        raise EnvironmentProblem(f"{folder}: {what}") from error
    return positions(encoder)


def check_tasks(folder: Path, longest: int | None, tasks: Iterable[Task]) -> None:
    """Raise ``EnvironmentProblem`` for a task that the model cannot do, or whose inputs are longer than ``longest``."""
    kind = family_of(folder)
    for task in tasks:
        if task.format == "text" and kind.kind == "decoder":
            what = f"{task.name} asks for hidden tokens, and a {kind.model_type} reads only what comes before them"
            raise EnvironmentProblem(f"{folder}: {what}; masked text needs an encoder")
        if longest is not None and task.max_length > longest:
            what = f"{task.name} has a max_length of {task.max_length}, but the model reads at most {longest} tokens"
            raise EnvironmentProblem(f"{folder}: {what}; declare the task with a shorter one")
