"""PostgreSQL for tests: found on this machine, or installed from Debian's package; started on a free port.

    python -m tests.postgres.server    finds it, else installs it; `make postgres` runs it

Finding and installing need the standard library only. `$POSTGRES_BIN` names the folder of initdb and postgres where
they lie elsewhere. Exit code 1: there is no server, and a sentence says how to get one.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..helpers.debian import find_or_install

WAYS_OUT = (
    "install it (as root on Debian: apt-get install postgresql; on macOS: brew install postgresql), or name the folder "
    "of initdb in $POSTGRES_BIN"
)
USER, PASSWORD, DATABASE = "tuner", "s3cret/of#the lab", "studies"
# Nothing here has to survive a power cut, only kills of processes.
SETTINGS = {
    "fsync": "off",
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "16MB",
    "max_connections": "30",
}
_SECONDS = 60


def find_server() -> Path | None:
    """The folder of initdb and postgres, of the newest version; None where there is none."""
    if named := os.environ.get("POSTGRES_BIN"):
        folders = [Path(named)]
    else:
        debian = Path("/usr/lib/postgresql").glob("*/bin")
        folders = sorted(debian, key=lambda folder: float(folder.parent.name), reverse=True)
        if found := shutil.which("initdb"):
            folders.append(Path(found).parent)
    return next((f for f in folders if (f / "initdb").exists() and (f / "postgres").exists()), None)


@dataclass
class Server:
    """A server of its own: started, killed and started again on the same data and port.

    Attributes:
        programs: folder of initdb and postgres.
        folder: its data and its log.
        port: on 127.0.0.1.
    """

    programs: Path
    folder: Path
    port: int

    def address(self, study: str, *, user: str = USER, password: str = "", database: str = DATABASE) -> str:
        """The address of a study."""
        who = f"{user}:{password}" if password else user
        return f"postgresql+psycopg://{who}@127.0.0.1:{self.port}/{database}/{study}"

    def make(self) -> None:
        """Make its data."""
        secret = self.folder / "password"
        secret.write_text(PASSWORD, encoding="utf-8")
        if os.geteuid() == 0:  # initdb refuses root
            shutil.chown(self.folder, "postgres")
            shutil.chown(secret, "postgres")
        options = [
            "--auth=scram-sha-256",
            f"--username={USER}",
            f"--pwfile={secret}",
            "--no-sync",
            "--encoding=UTF8",
        ]
        self._run("initdb", "-D", str(self.folder / "data"), "--locale=C", *options)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = [part for key, value in SETTINGS.items() for part in ("-c", f"{key}={value}")]
        command = _as_user(
            [str(self.programs / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port)]
        )
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "-k", str(self.folder), *settings], stdout=log, stderr=log, start_new_session=True
            )
        end = time.monotonic() + _SECONDS
        while self._ready() != 0:
            assert self._process.poll() is None, (self.folder / "log").read_text(errors="replace")
            assert time.monotonic() < end, (self.folder / "log").read_text(errors="replace")
            time.sleep(0.05)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it by a signal to its first process, and wait until all of its processes are gone."""
        file = self.folder / "data" / "postmaster.pid"
        first = int(file.read_text().split()[0])
        others = _children(first)
        os.kill(first, number)
        self._process.wait()
        end = time.monotonic() + _SECONDS
        while any(Path(f"/proc/{pid}").exists() for pid in (first, *others)):
            assert time.monotonic() < end
            time.sleep(0.02)

    def _ready(self) -> int:
        command = [str(self.programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            _as_user([str(self.programs / program), *arguments]),
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )
        assert done.returncode == 0, done.stderr


def _as_user(command: list[str]) -> list[str]:
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else command


def _children(process: int) -> list[int]:
    found = Path(f"/proc/{process}/task/{process}/children")
    return [int(pid) for pid in found.read_text().split()] if found.exists() else []


@contextlib.contextmanager
def running(programs: Path) -> Iterator[Server]:
    """A server with an empty database, which is gone after the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="lymphofeat-postgres-"))
    server = Server(programs, folder, port)
    try:
        server.make()
        server.start()
        try:
            make_database(server, DATABASE)
            yield server
        finally:
            server.kill(signal.SIGQUIT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_database(server: Server, name: str) -> None:
    """Make an empty database."""
    import psycopg

    with psycopg.connect(
        host="127.0.0.1", port=server.port, user=USER, password=PASSWORD, dbname="postgres", autocommit=True
    ) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[call-overload]


def main() -> int:
    return find_or_install(find_server, "PostgreSQL", ("postgresql",), WAYS_OUT)


if __name__ == "__main__":
    sys.exit(main())
