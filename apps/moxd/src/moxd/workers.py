"""The supervisor: identical workers forked after all imports, watched, restarted, told to drain.

It serves nobody itself, so that nothing a stranger sends can end it."""

from __future__ import annotations

import gc
import grp
import logging
import os
import pwd
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger("moxd.workers")

# A worker that dies at once is not restarted at once: the disk may be full, and a fork storm helps nobody.
MIN_LIFE = 5.0
RESTART_PAUSE = 2.0
# So many early deaths in a row are no accident: whoever watches over us should hear of it.
MAX_EARLY_DEATHS = 10
DRAIN_SECONDS = 30.0


class PrivilegeError(Exception):
    """The user to drop to does not exist, or we may not become it."""


@dataclass(frozen=True, slots=True)
class User:
    """A user of this machine."""

    name: str
    uid: int
    gid: int

    @classmethod
    def find(cls, name: str) -> User:
        """Raises PrivilegeError."""
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise PrivilegeError(
                f"there is no user {name!r}; make one (`useradd --system --no-create-home {name}`) or change `user`"
            ) from None
        return cls(name, entry.pw_uid, entry.pw_gid)


def drop_to(user: User) -> None:
    """Becomes `user` for good.  Raises PrivilegeError."""
    try:
        os.setgroups([group.gr_gid for group in grp.getgrall() if user.name in group.gr_mem])
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, user.uid)
    except OSError as error:
        raise PrivilegeError(f"cannot become {user.name}: {error.strerror}") from None
    os.umask(0o077)


class Supervisor:
    """Runs `work(index, lifeline)` in `count` child processes until told to stop.

    `lifeline` is a descriptor that becomes readable when the supervisor is gone, in whatever way.  `release` is called
    at the first order to stop: it closes our copies of the listening sockets, on which nobody would answer any more."""

    def __init__(
        self,
        count: int,
        work: Callable[[int, int], int],
        reload_check: Callable[[], bool],
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self._count = count
        self._work = work
        self._reload_check = reload_check
        self._release = release
        self._lifeline, self._held = os.pipe()
        self._early_deaths = 0
        self._status = 0
        self._children: dict[int, tuple[int, float]] = {}  # pid -> worker's index, started at
        self._stopping = False

    def run(self) -> int:
        """Until SIGTERM or SIGINT; the exit status."""
        # Shared pages stay shared when the collector does not write to them.
        gc.collect()
        gc.freeze()
        signals = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        for index in range(self._count):
            self._start(index)
        while self._children:
            number = signal.sigwait(signals)
            if number == signal.SIGCHLD:
                self._reap()
            elif number == signal.SIGHUP:
                if self._reload_check():
                    self._signal_all(signal.SIGHUP)
            else:
                self._stop()
        os.close(self._lifeline)
        os.close(self._held)
        return self._status

    def _start(self, index: int) -> None:
        pid = os.fork()
        if pid == 0:
            # SIGHUP stays held back until the worker can hear it, so that a reload does not end one that is starting.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})
            status = 70  # EX_SOFTWARE, unless the work says otherwise
            os.close(self._held)
            try:
                status = self._work(index, self._lifeline)
            except BaseException:
                log.exception("worker failed", extra={"worker": index})
            finally:
                logging.shutdown()
                os._exit(status)
        self._children[pid] = (index, time.monotonic())

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            index, started = self._children.pop(pid, (-1, 0.0))
            if index < 0 or self._stopping:
                continue
            code = os.waitstatus_to_exitcode(status)
            log.error("worker ended, starting it again", extra={"worker": index, "status": code})
            if time.monotonic() - started < MIN_LIFE:
                self._early_deaths += 1
                if self._early_deaths > MAX_EARLY_DEATHS:
                    log.critical("workers end as soon as they start, giving up", extra={"status": code})
                    self._status = 70
                    self._stop()
                    return
                time.sleep(RESTART_PAUSE)
            else:
                self._early_deaths = 0
            self._start(index)

    def _signal_all(self, number: int) -> None:
        for pid in self._children:
            os.kill(pid, number)

    def _stop(self) -> None:
        """The first time asks workers to drain; the second time ends them."""
        if self._stopping:
            self._signal_all(signal.SIGKILL)
            return
        self._stopping = True
        self._release()
        self._signal_all(signal.SIGTERM)
        # If a worker hangs in its drain, SIGALRM's default action would end us; so wait in a child-free way.
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._children and time.monotonic() < deadline:
            heard = signal.sigtimedwait({signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}, 0.2)
            if heard is not None and heard.si_signo != signal.SIGCHLD:
                break
            self._reap()
        self._signal_all(signal.SIGKILL)
        while self._children:
            signal.sigtimedwait({signal.SIGCHLD}, 0.2)
            self._reap()
