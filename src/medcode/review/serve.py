"""The server of a review: on this machine only, until it is stopped."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import uvicorn

from medcode import coder as coders
from medcode.bulk.sources import Sources
from medcode.errors import UserError
from medcode.inference import kept, saved_model
from medcode.review import app, security
from medcode.review.ledger import Ledger
from medcode.review.opened import HEADS, OpenedNotes
from medcode.review.search import CodeSearch
from medcode.review.session import Session
from medcode.review.work_list import WorkList

ADDRESS = "127.0.0.1"


def serve(
    sources: Sources,
    model: str,
    ledger_path: Path,
    port: int,
    top: int | None,
    threshold: float | None,
    tell: Callable[[str], None],
) -> None:
    """Serve the page until it is stopped.

    Args:
        sources: the notes.
        model: folder or name.
        ledger_path: of the decisions.
        port: 0 takes one that is free.
        top, threshold: as for `Coder.predict`.
        tell: gets the address of the page, when it is ready.

    Raises:
        UserError: the notes, the model or the ledger cannot be used, or the port is taken.
    """
    coder, weights = kept.read(model, lambda folder: (coders.load(folder), digest(folder)))
    work_list = WorkList(sources)
    if work_list.unread:
        first = work_list.unread[0]
        count = f"{len(work_list.unread):,} of {len(work_list.unread) + len(work_list):,} notes"
        print(f"WARNING: {count} cannot be read, the first: {first.place}: {first.reason}", file=sys.stderr)
    with contextlib.closing(Ledger(ledger_path, weights)) as ledger, _socket(port) as listening:
        _report(ledger, work_list)
        with contextlib.closing(OpenedNotes(coder, work_list, top, threshold)) as opened:
            labels = {head: of_head for head, of_head in coder.models[0].labels.items() if head in HEADS}
            session = Session(work_list, opened, ledger, CodeSearch(labels))
            port, token = listening.getsockname()[1], security.new_token()
            guarded = app.create(session, coder, token, port)
            session.search.start()
            tell(f"http://{ADDRESS}:{port}/{token}/")
            # No access log, and no traceback: both may have what notes or addresses hold.
            config = uvicorn.Config(
                guarded, log_config=None, access_log=False, server_header=False, date_header=False, ws="none",
                timeout_graceful_shutdown=5, limit_concurrency=200,
            )  # fmt: skip
            uvicorn.Server(config).run(sockets=[listening])


def _report(ledger: Ledger, work_list: WorkList) -> None:
    """Say what of an older ledger is not as it was."""
    if ledger.cut:
        print(f"note: {ledger.path.name}: the last line was not written to its end; it is removed", file=sys.stderr)
    absent = [note for note in ledger.state.notes if work_list.number_of(note) is None]
    if absent:
        line = f"{len(absent):,} notes of the ledger are not among NOTES, the first: {absent[0][:80]}"
        print(f"WARNING: {line}", file=sys.stderr)


def digest(folder: Path) -> str:
    """Return a short digest of the weights of a model, all seeds of it."""
    joined = "".join(saved_model.digests(folder))
    return hashlib.sha256(joined.encode()).hexdigest()[:16]


def _socket(port: int) -> socket.socket:
    # With the protocol named, asyncio sends each part of an answer at once; else every answer takes 40 ms longer.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((ADDRESS, port))
        listening.listen(128)  # a browser that is faster than the server waits
    except OSError as error:
        listening.close()
        raise UserError(f"--port: {port} cannot be used ({error.strerror}); 0 takes one that is free") from error
    return listening
