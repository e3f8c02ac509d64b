"""What tox.ini cannot say by itself: which Python runs tox, so that a stack's environment can start the suite in another."""

import sys

from tox.config.sets import ConfigSet
from tox.plugin import impl
from tox.session.state import State


@impl  # type: ignore[untyped-decorator]
def tox_add_core_config(core_conf: ConfigSet, state: State) -> None:
    """``{tox_python}``: the interpreter of this process."""
    core_conf.add_constant("tox_python", "the Python that runs tox", sys.executable)
