"""Faults of a runtime with a correct artifact, and the wrapper of a backend that applies them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fixtures.core.hidden_states import LOGITS, norms
from fixtures.core.registry import Backend, Cell, Job, Lowering
from fixtures.core.spec import Shape
from fixtures.metrics.arrays import Arrays
from tests.mutation.faults.spec import Fault, linked

HIDDEN = "last_hidden_state"
#: The key of the model's Shape in a session's memory.
SHAPE = "shape"
Memory = dict[str, Any]
Outputs = dict[str, Any]
#: Changes that a fault of the last session made to this process.
_IN_FORCE = ExitStack()


class Prepared(NamedTuple):
    """The prepared inputs of a runtime, and the caller's arrays from which they were made."""

    value: Any
    given: Arrays


@dataclass(frozen=True, kw_only=True)
class SessionFault(Fault):
    """A fault of a runtime with a correct artifact: in its inputs, in its outputs, or in how the artifact is opened.

    ``memory`` is a dictionary of the session, which contains the model's Shape. ``call(compute, inputs, memory)`` replaces an
    inference: ``compute`` returns the right outputs, and ``call`` returns outputs or a function that returns them. ``shown``:
    the layers that the runtime returns end in the changed outputs too, as they would if the fault were in the file.
    """

    inherited: bool = False
    inputs: Callable[[Arrays, Memory], Arrays] = lambda inputs, memory: inputs
    outputs: Callable[[Outputs, Arrays, Memory], Outputs] = lambda outputs, inputs, memory: outputs
    call: Callable[[Callable[[], Outputs], Arrays, Memory], Any] | None = None
    opened: Callable[[Any], AbstractContextManager[Any]] = nullcontext
    more_threads: int = 0
    shown: bool = True

    def needs(self, low: Lowering) -> Cell | None:
        return low.cell

    def build(self, job: Job, low: Lowering) -> dict[str, Any]:
        """Takes the files of the correct artifact, which the fault's cell ``needs``."""
        return {**linked(job), "session": self.recipe}


class Elsewhere(SessionFault):
    """An artifact whose largest file is empty: the session reads this file from another folder."""

    def build(self, job: Job, low: Lowering) -> dict[str, Any]:
        meta = super().build(job, low)
        largest = max((path for path in job.out.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
        largest.unlink()
        largest.touch()
        return {**meta, "elsewhere": str(job.needed(""))}


def heeding(backend: type[Backend], faults: Mapping[str, SessionFault]) -> type[Backend]:
    """``backend`` with the fault that the artifact's metadata names by its recipe, which is one of ``faults``."""

    class Faulty(backend):  # type: ignore[misc,valid-type]
        fault: SessionFault | None = None
        plain = False

        def load(self, artifact: Path, meta: Mapping[str, Any], shape: Shape, threads: int) -> None:
            _IN_FORCE.close()
            self.fault = faults.get(meta.get("session", ""))
            self.memory: Memory = {SHAPE: shape}
            more = self.fault.more_threads if self.fault else 0
            super().load(Path(meta.get("elsewhere", artifact)), meta, shape, threads + more)
            if self.fault is not None:
                _IN_FORCE.enter_context(self.fault.opened(self))

        def prepare(self, inputs: Arrays) -> Any:
            if self.fault is None:
                return super().prepare(inputs)
            prepared = super().prepare(self.fault.inputs(inputs, self.memory))
            return prepared if self.plain else Prepared(prepared, inputs)

        def invoke(self, prepared: Any) -> Any:
            if self.fault is None or self.plain:
                return super().invoke(prepared)
            self.given, invoke, outputs = prepared.given, super().invoke, super().outputs
            if self.fault.call is None:
                return invoke(prepared.value)
            return self.fault.call(lambda: outputs(invoke(prepared.value)), prepared.given, self.memory)

        def outputs(self, result: Any) -> Outputs:
            if self.fault is None or self.plain:
                return super().outputs(result)  # type: ignore[no-any-return]
            found = super().outputs(result) if self.fault.call is None else result() if callable(result) else result
            return self.fault.outputs(found, self.given, self.memory)

        def layers(self, inputs: Arrays) -> Outputs:
            self.plain = True
            try:
                found: Outputs = super().layers(inputs)
            finally:
                self.plain = False
            if self.fault is None or not self.fault.shown:
                return found
            last = norms(self.memory[SHAPE].layers)[-1]
            ends = {LOGITS: found[LOGITS], HIDDEN: found[last]}
            changed = self.fault.outputs(ends, inputs, {SHAPE: self.memory[SHAPE]})
            return {**found, LOGITS: changed[LOGITS], last: changed[HIDDEN]}

    functools.update_wrapper(Faulty, backend, updated=())
    if backend.layers is Backend.layers:  # one that shows nothing is known by that
        Faulty.layers = Backend.layers  # type: ignore[method-assign]
    return Faulty
