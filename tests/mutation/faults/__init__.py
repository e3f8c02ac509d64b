"""Faults of variants and tokenizers, each applied for real: the backend's own lowering builds from a broken checkpoint or with
a broken library call, or its runtime is given, or gives back, something else.

``tests.mutation.faults.plugin`` makes cells of them, for a run that must notice them (``python -m tests.mutation.detection``).
"""

from tests.mutation.faults import builds, checkpoints, harmless, models, named, parameters, rows, sessions, states, training
from tests.mutation.faults.spec import Fault

#: Several of one name are one fault, made differently in different cells.
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
