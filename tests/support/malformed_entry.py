"""An invalid known failure: ENCODER_PARITY_MALFORMED names the invalid field; loaded by ENCODER_PARITY_PLUGINS."""

from __future__ import annotations

import os
from typing import Any

from fixtures import known_failures
from fixtures.core.errors import RemoteError
from fixtures.known_failures.entry import AGREEMENT, KnownFailure

MALFORMED: dict[str, Any] = {"message": "(", "applies": lambda situation: 1 / 0}
_change = os.environ["ENCODER_PARITY_MALFORMED"]
_fields: dict[str, Any] = {
    "variant": "*-pytorch-f32", "phase": AGREEMENT, "exception": RemoteError, "message": "x", "reason": "r", "remedy": "m",
    "link": "https://example.org/1", _change: MALFORMED[_change],
}  # fmt: skip
known_failures.KNOWN_FAILURES = (KnownFailure(**_fields), *known_failures.KNOWN_FAILURES)
