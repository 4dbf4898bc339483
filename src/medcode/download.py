"""Fetching published files: from their URL, or from a local folder or zip file."""

from __future__ import annotations

import http.client
import io as memory
import shutil
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from medcode import io
from medcode.errors import UserError

Reader = Callable[[], bytes]
TIMEOUT = 30  # seconds without an answer from the server


def retrieve(url: str, folder: Path, name: str, remedy: str) -> Path:
    """Download a file without checking its contents; the caller compares digests.

    Args:
        folder, name: where to save it.
        remedy: advice for the error message, when the URL cannot be reached.

    Returns:
        The path of the file.

    Raises:
        UserError: the URL cannot be reached, or the file is incomplete.
    """
    # Some servers reject the default user agent of urllib.
    request = urllib.request.Request(url, headers={"User-Agent": "medcode"})
    path = folder / name
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response, open(path, "wb") as file:
            shutil.copyfileobj(response, file)
            content_length = response.headers.get("Content-Length")
            if content_length is not None and file.tell() != int(content_length):
                raise EOFError(f"{file.tell()} of {content_length} bytes")
    except (OSError, EOFError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)  # URLError wraps the error of the network
        error_type = type(reason if isinstance(reason, Exception) else error).__name__
        raise UserError(f"{url}: could not be fetched ({error_type}); {remedy}") from error
    return path


def listing(source: Path) -> dict[str, Reader]:
    """List the files in a folder or a zip file, {name within it: function that reads it}.

    Raises:
        UserError: the source does not exist, or is not a zip file, or a name in it leaves its folder.
    """
    if source.is_dir():
        paths = (path for path in sorted(source.rglob("*")) if path.is_file())
        return {path.relative_to(source).as_posix(): path.read_bytes for path in paths}
    if source.is_file():
        return _members(source)
    raise UserError(f"{source}: no such folder or zip file")


def _members(path: Path) -> dict[str, Reader]:
    try:
        archive = zipfile.ZipFile(memory.BytesIO(path.read_bytes()))
    except zipfile.BadZipFile as error:
        raise UserError(f"{path}: not a whole zip file ({error})") from error
    names = [info.filename for info in archive.infolist() if not info.is_dir()]
    for name in names:
        # A backslash separates folders in zip files that some programs of Windows write.
        if ".." in name.replace("\\", "/").split("/"):
            raise UserError(f"{path}: {name}: leaves its folder; such a zip file is not read, fetch another")
    return {name: lambda name=name: archive.read(name) for name in names}


def read(reader: Reader, source: Path, name: str) -> bytes:
    """Read a listed file.

    Args:
        source, name: origin of the file, for messages.

    Raises:
        UserError: the file is damaged, encrypted or unreadable.
    """
    try:
        return reader()
    except (zipfile.BadZipFile, zlib.error, RuntimeError, OSError) as error:
        raise UserError(f"{source}: {name}: could not be read ({type(error).__name__})") from error


def put(contents: dict[str, bytes], to: Path) -> int:
    """Write files into a folder, all or none, replacing an existing folder; return their number."""
    with io.atomic_folder(to) as temporary:
        for name, content in contents.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "wb") as file:
                file.write(content)
    return len(contents)
