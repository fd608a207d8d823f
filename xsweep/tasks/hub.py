"""The Hugging Face hub: a data set's commit, and its rows at a commit."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING

from xsweep.errors import DataError, EnvironmentProblem
from xsweep.tasks.task import Data

if TYPE_CHECKING:
    import pyarrow


def table(data: Data, commit: str) -> pyarrow.Table:
    """One split at a commit, its label names in the schema metadata ``huggingface``."""
    import datasets
    from huggingface_hub.errors import HfHubHTTPError

    place = f"{data.dataset} {data.config} {data.split}"
    try:
        rows = datasets.load_dataset(data.dataset, data.config, split=data.split, revision=commit)
    except Exception as error:
        answered = (ValueError, FileNotFoundError, RuntimeError, datasets.exceptions.DatasetsError)
        if isinstance(error, answered) and not isinstance(error, (ConnectionError, TimeoutError, HfHubHTTPError)):
            raise DataError(f"{place}: {one_line(error)}") from error
        # Else whatever the hub client's HTTP library of the day raises.
        raise EnvironmentProblem(f"{place}: the hub did not answer ({one_line(error)}); try again") from error
    features = {"info": {"features": rows.features.to_dict()}}
    whole: pyarrow.Table = rows.with_format("arrow")[:]
    return whole.replace_schema_metadata({"huggingface": json.dumps(features)})


@lru_cache(maxsize=512)
def commit(dataset: str, revision: str | None) -> str:
    """The commit that a branch or tag (``main`` when None) of a data set is at; asked once a process."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        return str(HfApi().dataset_info(dataset, revision=revision, timeout=30).sha)
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise DataError(f"{dataset}: the hub has no such data set, or it is gated; is the name right?") from error
    except RevisionNotFoundError as error:
        raise DataError(f"{dataset}: the hub has no revision {revision!r} of it") from error
    except Exception as error:  # whatever the hub client's HTTP library of the day raises
        what = f"the hub did not answer ({one_line(error)}); try again, or give a --mirror"
        raise EnvironmentProblem(f"{dataset}: {what}") from error


def one_line(error: BaseException) -> str:
    """The message of another library's exception, on one line and not too long."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."
