"""An emulator of two CRMs' interfaces for the tests: stateful, audited, and faulty where a test says so.

It runs as a process of its own (``python -m servers.emulated``), keeps all that it knows in one SQLite
file, and so survives ``kill -9``. It is an emulator: what it does not do is listed in ``limits.md``.
"""
