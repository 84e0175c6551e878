"""A Dask cluster that runs already, as an executor: its scheduler by address or scheduler file.

Everything that a user can mend is asked before any work begins, since Dask itself waits without end for a file that is
not there, or for an answer of a server that speaks otherwise. What its libraries log is kept from the terminal: they
write tracebacks for what is said here in a sentence.
"""

import asyncio
import contextlib
import json
import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .errors import InputError

__all__ = ["dask_executor"]

_SECONDS = 30.0
_SECONDS_TO_CLOSE = 5.0
_SECONDS_BETWEEN_LOOKS = 10.0
_LOOKS = 2  # without a worker, until it is said: a node that starts its worker anew needs no sentence
_LOUD = ("distributed", "distributed.client", "distributed.gc", "tornado", "tornado.application", "asyncio")
_FORMS = "give an address such as tcp://10.0.0.1:8786, or the file of `dask scheduler --scheduler-file FILE`"


@contextlib.contextmanager
def dask_executor(
    target: str,
    *,
    seconds: float = _SECONDS,
    seconds_for_workers: float = _SECONDS,
    seconds_between_looks: float = _SECONDS_BETWEEN_LOOKS,
    note: Callable[[str], None] | None = None,
) -> Iterator[Executor]:
    """The executor of a Dask client, which is closed with the block; scheduler and workers go on.

    Args:
        target: an address (tcp://HOST:PORT, tls://HOST:PORT, HOST:PORT), or a scheduler file.
        seconds: to wait for the scheduler's answer.
        seconds_for_workers: to wait for its first worker.
        seconds_between_looks: at whether it still has workers.
        note: takes a sentence, from a thread of its own, when two looks in a row find tasks and no worker, which Dask
            itself waits for in silence.

    Raises:
        InputError: distributed is not installed; no scheduler answers there; it has no workers; or scheduler or workers
            have another version of distributed.
    """
    distributed = _distributed()
    _quiet()
    address, named = _address(target)
    _check_scheduler(address, named, seconds)
    with (
        warnings.catch_warnings()
    ):  # of versions that differ; those that matter are looked at here and by each task
        warnings.simplefilter("ignore")
        try:
            client = distributed.Client(address, timeout=seconds, set_as_default=False)
        except Exception as error:  # whatever it is, it answered a moment ago
            raise _no_scheduler(named, seconds, error) from error
    ended = threading.Event()
    try:
        _check_cluster(client, named, seconds_for_workers)
        if note is not None:
            watch = (client, named, seconds_between_looks, note, ended)
            threading.Thread(target=_watch, args=watch, daemon=True).start()
        yield client.get_executor()
    finally:
        ended.set()
        # A scheduler that is gone cannot be taken leave of.
        with contextlib.suppress(Exception, asyncio.CancelledError):
            client.close(timeout=_SECONDS_TO_CLOSE)


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise InputError(
            f"--dask needs the package distributed ({error}); `pip install 'lymphofeat[dask]'` adds it, which workers "
            "need as well."
        ) from error
    return distributed


def _quiet() -> None:
    """Let Dask's loggers say nothing but with -v; for good, since its threads log after the block, too."""
    for name in _LOUD:
        logger = logging.getLogger(name)
        logger.handlers = [logging.NullHandler()]
        logger.propagate = logging.getLogger().isEnabledFor(logging.DEBUG)


def _address(target: str) -> tuple[str, str]:
    """The address, and how sentences name it.

    Raises:
        InputError: it is none, or the file is not there or no scheduler's.
    """
    path = Path(target)
    if "://" not in target and (path.exists() or path.suffix == ".json" or os.sep in target):
        address = _in_file(path)
        named = f"{address} ({path})"
    else:
        address = named = target
    if "://" not in address:
        address = f"tcp://{address}"
    from distributed.comm.addressing import get_address_host_port
    from distributed.security import Security

    try:
        host, port = get_address_host_port(address, strict=True)
        if not host or not 0 < port < 65536:
            raise ValueError(f"no port {port}")
    except Exception as error:
        raise InputError(f"--dask {named} is no address of a Dask scheduler ({error}); {_FORMS}.") from error
    if address.startswith("tls://") and Security().get_connection_args("client").get("ssl_context") is None:
        raise InputError(
            f"--dask {named} needs certificates, and Dask's configuration names none; set distributed.comm.tls there."
        )
    return address, named


def _in_file(path: Path) -> str:
    way = f"`dask scheduler --scheduler-file {path}` writes one, on a file system that all machines share"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return str(content["address"])
    except FileNotFoundError as error:
        raise InputError(f"--dask {path}: there is no such file; {way}.") from error
    except OSError as error:
        raise InputError(f"--dask {path} cannot be read ({error.strerror}); {_FORMS}.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"--dask {path} is no scheduler file of Dask; {way}.") from error


def _check_scheduler(address: str, named: str, seconds: float) -> None:
    """Ask who is there: Dask's client itself would wait for a stranger's answer without end.

    Raises:
        InputError: no scheduler is.
    """
    try:
        found = asyncio.run(asyncio.wait_for(_identity(address, seconds), seconds))
        kind = str(found["type"])
    except Exception as error:  # of a stranger's bytes, anything: MemoryError, too
        raise _no_scheduler(named, seconds, error) from error
    if not kind.endswith("Scheduler"):
        raise InputError(f"--dask {named} is the address of a Dask {kind.lower()}; give the scheduler's.")


async def _identity(address: str, seconds: float) -> Any:
    from distributed.core import connect
    from distributed.security import Security

    # Given up a little before the whole, so that the sentence can say what the last attempt met.
    comm = await connect(address, timeout=0.8 * seconds, **Security().get_connection_args("client"))
    try:
        await comm.write({"op": "identity", "reply": True})
        return await comm.read()
    finally:
        comm.abort()


def _no_scheduler(named: str, seconds: float, error: Exception) -> InputError:
    # What the last attempt met is worth more than that the time was up.
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    text = " ".join(str(cause).split()).rpartition("object at 0x")[-1].partition(">: ")
    why = text[2] or text[0]
    return InputError(
        f"No Dask scheduler answers at {named} within {seconds:g} s{f' ({why})' if why else ''}; start one with "
        "`dask scheduler`, or correct the address. Nothing was written."
    )


def _watch(
    client: Any, named: str, seconds: float, note: Callable[[str], None], ended: threading.Event
) -> None:
    """Tell, once each time, that tasks have no workers any more, until the block ends or the scheduler is gone."""
    without = 0
    # A scheduler that is gone is told of by the tasks.
    with contextlib.suppress(Exception, asyncio.CancelledError):
        while not ended.wait(seconds):
            waits = _has_tasks(client) and not client.nthreads()
            without = without + 1 if waits else 0
            if without == _LOOKS and not ended.is_set():
                note(
                    f"The Dask scheduler at {named} has no workers any more; the command waits, and goes on as soon as "
                    f"there is one: {_start_a_worker(client)}."
                )


def _has_tasks(client: Any) -> bool:
    """Whether a task is not done: without one, a cluster may well give its workers back."""
    return any(state.status == "pending" for state in list(client.futures.values()))


def _start_a_worker(client: Any) -> str:
    return f"`dask worker {client.scheduler.address} --nthreads 1`"


def _check_cluster(client: Any, named: str, seconds: float) -> None:
    """See that there are workers, and of which versions all are.

    Raises:
        InputError: there are none, or their versions of distributed or the scheduler's differ from this process's.
    """
    try:
        client.wait_for_workers(1, timeout=seconds)
        found = client.get_versions(check=False)
    except TimeoutError as error:
        raise InputError(
            f"The Dask scheduler at {named} has no worker after {seconds:g} s; start some with "
            f"{_start_a_worker(client)}, then give the same command again."
        ) from error
    except Exception as error:
        raise _no_scheduler(named, seconds, error) from error
    here = version("distributed")
    each = {"scheduler": found["scheduler"], **{f"worker at {at}": of for at, of in found["workers"].items()}}
    for who, of in each.items():
        there = of["packages"].get("distributed") if of else None
        if there not in (None, here):
            raise InputError(
                f"The Dask {who} has distributed {there}, and this process has {here}, which may not understand each "
                f"other; install one version on all: `pip install distributed=={here}`."
            )
