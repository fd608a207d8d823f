"""S3's own words: conditional writes, streams in parts, listings, and its errors in one plain line each.

Any server that speaks S3 and honours ``If-None-Match`` and ``If-Match`` on writes will do. Address and credentials of
the server are those of every AWS tool (``AWS_ENDPOINT_URL``, ``AWS_PROFILE``, ``AWS_ACCESS_KEY_ID``, roles of a
machine); they are read by ``boto3`` and written nowhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from functools import lru_cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

from xsweep.errors import EnvironmentProblem, UsageError
from xsweep.store.backend import Found

PART = 16 << 20
"""Bytes of one part of a stream."""
STREAMS = 4
"""Parts under way at once: what a stream holds in memory is about this many."""
_TRIES = 4
"""Times that a write is tried while another one to the same name is under way."""
_ADDRESS = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([^?#@]*))?")
_DENIED = {
    "403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
    "AllAccessDisabled",
}  # fmt: skip


class Bucket:
    """What lies below ``s3://BUCKET/PREFIX``; names are relative to it."""

    def __init__(self, address: str) -> None:
        found = _ADDRESS.fullmatch(address)
        if found is None:
            raise UsageError(f"--store {_safe(address)}: an object store is s3://BUCKET/PREFIX, without credentials")
        self.bucket, self.prefix = found[1], (found[2] or "").strip("/")
        self.address = f"s3://{self.bucket}/{self.prefix}".rstrip("/")
        if find_spec("boto3") is None:
            how = 'pip install "xsweep-scaling[s3]"'
            raise EnvironmentProblem(f"{self.address}: needs boto3; install it with: {how}")

    @property
    def _client(self) -> Any:
        with self._said():
            return _client(
                os.getpid(), tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))
            )

    def get(self, name: str) -> Found | None:
        """A small object, or None where there is none."""
        with self._said(name):
            try:
                answer = self._client.get_object(Bucket=self.bucket, Key=self._key(name))
            except self._client.exceptions.NoSuchKey:
                return None
            data = answer["Body"].read()
        now = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        age = (parsedate_to_datetime(now) - answer["LastModified"]).total_seconds() if now else 0.0
        return Found(data, answer["ETag"], age)

    def put(self, name: str, data: bytes, over: Found | None) -> bool:
        """Write where ``over`` stands still, or nothing where it is None; False where that is not so."""
        condition = {"IfNoneMatch": "*"} if over is None else {"IfMatch": over.tag}
        with self._said(name):
            for last in (*[False] * (_TRIES - 1), True):
                try:
                    self._client.put_object(Bucket=self.bucket, Key=self._key(name), Body=data, **condition)
                    return True
                except self._client.exceptions.NoSuchKey:
                    return False
                except self._client.exceptions.ClientError as error:
                    code = _code(error)
                    if code in ("ConditionalRequestConflict", "409") and not last:
                        continue
                    if code not in ("PreconditionFailed", "412"):
                        raise
                    break
        # An answer that was lost on its way is asked for again, and then one meets what one wrote oneself.
        standing = self.get(name)
        return standing is not None and standing.data == data

    def upload(self, source: Path | bytes, name: str) -> None:
        """Write an object as it comes, in parts."""
        with self._said(name), BytesIO(source) if isinstance(source, bytes) else source.open("rb") as stream:
            self._client.upload_fileobj(stream, self.bucket, self._key(name), Config=_parts())

    def download(self, name: str, target: Path) -> bool:
        """Write an object to a file as it comes; False where there is none."""
        with self._said(name), target.open("wb") as stream:
            try:
                self._client.download_fileobj(self.bucket, self._key(name), stream, Config=_parts())
            except self._client.exceptions.ClientError as error:
                if _code(error) not in ("404", "NoSuchKey"):
                    raise
                return False
        return True

    def size(self, name: str) -> int | None:
        """Bytes of an object, None where there is none."""
        with self._said(name):
            try:
                return int(self._client.head_object(Bucket=self.bucket, Key=self._key(name))["ContentLength"])
            except self._client.exceptions.ClientError as error:
                if _code(error) not in ("404", "NoSuchKey"):
                    raise
                return None

    def sizes(self, folder: str) -> dict[str, int]:
        """Name relative to ``folder`` -> bytes of every object below it."""
        prefix = self._key(folder) + "/"
        pages = self._pages(Prefix=prefix)
        return {each["Key"].removeprefix(prefix): each["Size"] for page in pages for each in page.get("Contents", ())}

    def names(self, folder: str) -> list[str]:
        """Names of the objects and folders that lie in ``folder``, sorted."""
        prefix = self._key(folder) + "/"
        found = set()
        for page in self._pages(Prefix=prefix, Delimiter="/"):
            found |= {each["Prefix"].removeprefix(prefix).rstrip("/") for each in page.get("CommonPrefixes", ())}
            found |= {each["Key"].removeprefix(prefix) for each in page.get("Contents", ())}
        return sorted(found - {""})

    def delete(self, names: Iterable[str]) -> None:
        """Remove objects, a thousand a call."""
        keys = [{"Key": self._key(name)} for name in names]
        with self._said():
            for start in range(0, len(keys), 1000):
                doomed = {"Objects": keys[start : start + 1000], "Quiet": True}
                for refused in self._client.delete_objects(Bucket=self.bucket, Delete=doomed).get("Errors", ()):
                    raise EnvironmentProblem(
                        f"s3://{self.bucket}/{refused['Key']}: not removed: {refused.get('Code', 'refused')}"
                    )

    def shown(self, name: str) -> str:
        """An object's address."""
        return f"{self.address}/{name}"

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name

    def _pages(self, **how: str) -> Iterator[dict[str, Any]]:
        with self._said():
            yield from self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, **how)

    @contextmanager
    def _said(self, name: str = "") -> Iterator[None]:
        """Turn what S3 and the way to it say into one plain line."""
        from botocore import exceptions as told

        where = self.shown(name) if name else self.address
        try:
            yield
        except told.ClientError as error:
            raise EnvironmentProblem(f"{where}: {_meaning(error, self.bucket)}") from error
        except (told.NoCredentialsError, told.PartialCredentialsError) as error:
            what = "no credentials for S3; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            raise EnvironmentProblem(f"{where}: {what}") from error
        except (told.ConnectionError, told.HTTPClientError) as error:
            raise EnvironmentProblem(f"{where}: S3 cannot be reached: {_first_line(error)}") from error
        except told.BotoCoreError as error:
            raise EnvironmentProblem(f"{where}: {_first_line(error)}") from error


@lru_cache(maxsize=4)
def _client(process: int, settings: tuple[tuple[str, str], ...]) -> Any:
    """The process's client under these settings; making one takes longer than most of what it is asked."""
    import boto3
    from botocore.config import Config

    retries = {"mode": "standard", "max_attempts": 5}
    config = Config(connect_timeout=5, read_timeout=60, retries=retries, max_pool_connections=4 * STREAMS)
    return boto3.session.Session().client("s3", config=config)


def _parts() -> Any:
    from boto3.s3.transfer import TransferConfig

    return TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=STREAMS)


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _meaning(error: Any, bucket: str) -> str:
    code, message = _code(error), error.response.get("Error", {}).get("Message", "")
    if code == "NoSuchBucket":
        return f"there is no bucket {bucket}; make it first"
    if code in _DENIED:
        return f"access denied ({code}); the credentials must be allowed to list, get, put and delete objects there"
    return f"S3 answered {code}: {message}".strip(": ")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _safe(address: str) -> str:
    return re.sub(r"//[^/@]*@", "//...@", address)
