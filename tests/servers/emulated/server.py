"""The server: what stands before both interfaces, logs each request and does to it what a fault says."""

from __future__ import annotations

import io
import json
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Response

from . import (
    bulk,
    control,
    faults,
    hubspot,
    hubspot_properties,
    salesforce,
    salesforce_query,
    salesforce_setup,
)
from .answers import hubspot_status, salesforce_status
from .store import Store

MODULES = (control, hubspot, hubspot_properties, salesforce, salesforce_query, salesforce_setup, bulk)


class Cut(ConnectionError):
    """The connection is cut on purpose; the server lets it be."""


class Quiet(WSGIRequestHandler):
    """Logs nothing: the requests are in the store."""

    def log(self, type: str, message: str, *args: Any) -> None:
        if type == "error":
            super().log(type, message, *args)

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
        self.close_connection = True


class Front:
    """What each request passes before the interface that it is for."""

    def __init__(self, app: Flask, store: Store) -> None:
        self.app = app.wsgi_app
        self.store = store

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/control"):
            return self.app(environ, start)
        # Read first: an answer to a request that was not read resets the connection.
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        began = time.time()
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        number = self.store.arrive(method, path, environ.get("QUERY_STRING", ""))
        met = faults.met(self.store, method, path, body)
        environ |= {"emulated.number": number, "emulated.met": met, "emulated.saw": {}}
        response = self._answer(environ, met)
        self.store.leave(
            number,
            status=response.status_code,
            rows=environ["emulated.saw"].get("rows"),
            seconds=time.time() - began,
        )
        met.wait("after")
        met.crash("after")
        if met.first("close", "after"):
            _cut(environ)
        self.store.leave(number, answered=1)
        return response(environ, start)

    def _answer(self, environ: dict[str, Any], met: faults.Met) -> Response:
        met.wait("before")
        met.crash("before")
        for fault in met.all("remove_field"):
            self.store.remove_field(fault["object"], fault["field"])
        for fault in met.all("revoke"):
            control.revoke(self.store, bool(fault.get("for_good")))
        if met.first("close", "before"):
            _cut(environ)
        vendor = salesforce_status if environ["PATH_INFO"].startswith("/services") else hubspot_status
        status = met.first("status")
        if status and status.get("when", "before") == "before":
            return vendor(status)
        response = Response.from_app(self.app, environ)
        return vendor(status) if status else response


def _cut(environ: dict[str, Any]) -> None:
    """Reset the connection: the client sees no answer, and no orderly end either."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise Cut("cut by a fault")


def build(store: Store) -> Flask:
    app = Flask("emulator")
    app.config["STORE"] = store
    app.url_map.strict_slashes = False
    for module in (
        control,
        hubspot,
        hubspot_properties,
        salesforce,
        salesforce_query,
        salesforce_setup,
        bulk,
    ):
        app.register_blueprint(module.routes)
    app.wsgi_app = Front(app, store)  # type: ignore[method-assign]
    return app


def main(database: str, port: str) -> None:
    """Serve on 127.0.0.1 until killed, or until the process that started this one is gone."""
    store = Store(Path(database))
    server = make_server("127.0.0.1", int(port), build(store), threaded=True, request_handler=Quiet)
    print(json.dumps({"port": server.server_port}), flush=True)
    threading.Thread(target=_until_orphaned, daemon=True).start()
    server.serve_forever()


def _until_orphaned() -> None:
    sys.stdin.read()
    os._exit(0)
