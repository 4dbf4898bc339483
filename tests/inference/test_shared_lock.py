"""The lock: shared by many, or held by one alone, who does not wait forever."""

from __future__ import annotations

import threading

import pytest

from medcode.inference.shared_lock import SharedLock

SECONDS = 30  # that a thread is waited for


def thread(work) -> threading.Thread:
    started = threading.Thread(target=work, daemon=True)
    started.start()
    return started


def test_many_share_it_at_once():
    lock, meeting = SharedLock(), threading.Barrier(4)

    def share() -> None:
        with lock.shared():
            meeting.wait(SECONDS)

    threads = [thread(share) for _ in range(4)]
    for one in threads:
        one.join(SECONDS)
    assert not any(one.is_alive() for one in threads) and not meeting.broken


def test_one_alone_excludes_all_others_and_goes_first():
    lock, order, holding, release = SharedLock(), [], threading.Event(), threading.Event()

    def hold() -> None:
        with lock.shared():
            holding.set()
            release.wait(SECONDS)
            order.append("first")

    def alone() -> None:
        with lock.alone():
            order.append("alone")

    def late() -> None:
        with lock.shared():
            order.append("late")

    threads = [thread(hold)]
    assert holding.wait(SECONDS)
    threads.append(thread(alone))
    while not lock._waiting:
        pass
    threads.append(thread(late))
    threads[2].join(0.1)
    assert order == []
    release.set()
    for one in threads:
        one.join(SECONDS)
    assert order == ["first", "alone", "late"]


@pytest.mark.parametrize("kind", ["shared", "alone"])
def test_an_error_releases_it(kind):
    lock = SharedLock()
    with pytest.raises(ValueError), getattr(lock, kind)():
        raise ValueError
    with lock.alone():
        pass
