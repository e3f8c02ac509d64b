"""Faults of variants and tokenizers, which are injected into real builds and sessions.

The backend's lowering builds from a broken checkpoint or with a broken library call, or its runtime gets wrong inputs or
returns wrong outputs. ``tests.mutation.faults.plugin`` registers a cell for each fault, for a run that must detect it
(``python -m tests.mutation.detection``).
"""

from tests.mutation.faults import builds, checkpoints, harmless, models, named, parameters, rows, sessions, states, training
from tests.mutation.faults.spec import Fault

#: All faults. Faults of the same name are one fault, made differently in different cells.
FAULTS: tuple[Fault, ...] = (
    *checkpoints.FAULTS,
    *training.FAULTS,
    *builds.FAULTS,
    *sessions.FAULTS,
    *parameters.FAULTS,
    *models.FAULTS,
    *rows.FAULTS,
    *states.FAULTS,
    *named.FAULTS,
    *harmless.FAULTS,
)
