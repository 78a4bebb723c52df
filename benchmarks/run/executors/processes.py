"""Jobs in several worker processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.run.deaths import ATTEMPTS, UnderWay
from benchmarks.run.executors.executor import Outcome, Work, attempt, throttled
from benchmarks.run.telling.notify import Notify

if TYPE_CHECKING:
    from benchmarks.plan.job import Job

DIED = (
    f"The worker process of this job died {ATTEMPTS} times, the last {ATTEMPTS - 1} while no other job ran: it needs "
    "more memory than there is, or a library crashes on it. What it had finished is kept; the same command tries again."
)


class Processes:
    """Several worker processes of this machine, one thread each.

    No more jobs than workers are handed out at a time, so that when a worker dies, the jobs under way are the only
    suspects. They run again at the end, each alone: whoever is innocent finishes, whoever is not fails alone. A death
    that a job's notes lay on one of its methods is that method's (``deaths``), and costs the job no attempt.
    """

    def __init__(self, workers: int, work: Work = attempt) -> None:
        self.workers, self.work = workers, work

    def run(self, jobs: Sequence[Job], folder: Path, notify: Notify) -> Iterator[Outcome]:
        """See :class:`Executor`; a job whose worker died is tried again, up to ``ATTEMPTS`` times in all."""
        context = multiprocessing.get_context("spawn")
        with context.Manager() as manager:
            messages = manager.Queue()
            listener = threading.Thread(target=_listen, args=(messages, notify), daemon=True)
            listener.start()
            try:
                yield from self._all(jobs, folder, lambda job: (self.work, job, folder, messages))
            finally:
                messages.put(None)
                listener.join()

    def _all(self, jobs: Sequence[Job], folder: Path, call: Call) -> Iterator[Outcome]:
        left = deque(jobs)
        suspects: list[Job] = []
        while left:
            suspects += yield from _pool(self.workers, left, call)
        deaths = Counter(job.folder for job in suspects)
        noted = {job.folder: UnderWay(folder / job.folder).deaths() for job in suspects}
        again = deque(suspects)
        while again:  # one at a time: who dies now is the one
            for job in (yield from _pool(1, again, call)):
                of_methods = UnderWay(folder / job.folder).deaths()
                deaths[job.folder] += of_methods == noted[job.folder]
                noted[job.folder] = of_methods
                if deaths[job.folder] < ATTEMPTS:
                    again.append(job)
                else:
                    yield Outcome(job, DIED)


Call = Callable[["Job"], tuple[Any, ...]]
"""Arguments of a worker for a job."""


def _pool(workers: int, left: deque[Job], call: Call) -> Generator[Outcome, None, list[Job]]:
    """Take jobs from ``left`` until none is left or a worker dies; return those that were under way when it died."""
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker)
    under_way: dict[Future[Outcome], Job] = {}
    died: list[Job] = []
    try:
        while (left and not died) or under_way:
            while left and not died and len(under_way) < workers:
                future = pool.submit(_in_worker, *call(left[0]))
                under_way[future] = left.popleft()
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                job = under_way.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    died.append(job)
                else:
                    yield _outcome(job, future)
    except BrokenProcessPool:  # nothing more is taken: a job that was not handed out stays in ``left``
        died += under_way.values()
    except (KeyboardInterrupt, GeneratorExit):
        _kill(pool)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return died


def _outcome(job: Job, future: Future[Outcome]) -> Outcome:
    """What a worker handed back; what could not be handed back is the job's error."""
    error = future.exception()
    if error is None:
        return future.result()
    return Outcome(job, "".join(traceback.format_exception(error)))


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from benchmarks.run.threads import limit_threads

    limit_threads()


def _end_with_parent() -> None:
    """A worker whose parent was killed must not go on computing for nobody."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _in_worker(work: Work, job: Job, folder: Path, messages: Any) -> Outcome:
    return work(job, folder, throttled(lambda *message: messages.put(message)))


def _listen(messages: Any, notify: Notify) -> None:
    while (message := messages.get()) is not None:
        notify(*message)


def _kill(pool: ProcessPoolExecutor) -> None:
    for process in list((pool._processes or {}).values()):
        if process.pid is not None:
            os.kill(process.pid, signal.SIGTERM)
