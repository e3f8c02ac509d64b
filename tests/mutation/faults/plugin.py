"""Registers a cell for every fault, in all processes, with ENCODER_PARITY_PLUGINS=tests.mutation.faults.plugin.

The cell of a fault is a lowering whose recipe begins with ``fault_``; that of a harmless change begins with ``harmless_``. The
suite's tests are parametrized with them like with any other cell. A faulty tokenizer is an additional tokenizer.
"""

from __future__ import annotations

from fixtures.core.registry import REGISTRY
from tests.mutation.faults import FAULTS, tokenizers
from tests.mutation.faults.runtimes import SessionFault, heeding
from tests.mutation.faults.spec import register

RIGHT = [low for low in REGISTRY.lowerings.values() if not low.recipe and not low.reference]
SESSIONS = {fault.recipe: fault for fault in FAULTS if isinstance(fault, SessionFault)}

for low in RIGHT:
    for fault in FAULTS:
        if fault.on(low):
            register(fault, low)
for name, backend in list(REGISTRY.backends.items()):
    REGISTRY.backends[name] = heeding(backend, SESSIONS)
for tokenizer in list(REGISTRY.tokenizers.values()):
    tokenizers.register(tokenizer)
