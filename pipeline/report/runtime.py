"""The part of Vega that the page needs to draw, as one script without any address in it."""

from __future__ import annotations

import re
from functools import cache

import vl_convert


@cache
def vega() -> str:
    """Return JavaScript (about 0.6 MB) that leaves ``vega`` with ``View`` and ``parse`` in the window.

    Charts come compiled, so Vega-Lite and Vega-Embed stay out: a third less than the whole bundle. The
    module is named as vl-convert's own copy of it is; it is bundled without a network.
    """
    address = f"https://cdn.jsdelivr.net/npm/vega@{vl_convert.get_vega_version()}/+esm"
    code = vl_convert.javascript_bundle(
        f'import {{ View, parse }} from "{address}"; window.vega = {{ View, parse }};'
    )
    # A page's scripts share their names, and a script element ends where its end is written.
    return "(() => {" + re.sub(r"</(?=script)", r"<\\/", code, flags=re.IGNORECASE) + "})();"
