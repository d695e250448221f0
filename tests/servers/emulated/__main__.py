"""``python -m servers.emulated DATABASE PORT``: serve, and print the port (0: any free one) as JSON."""

import sys

from .server import main

main(*sys.argv[1:])
