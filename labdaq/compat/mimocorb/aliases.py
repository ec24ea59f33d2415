"""`mimocorb` as a name for :mod:`labdaq.compat.mimocorb`, and `mimocorb2` likewise, for modules of their users.

A name is installed in the worker processes of a suite that was written for it, and nowhere else.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["MimocorbFinder", "install_aliases"]

_HOME = "labdaq.compat"


class MimocorbFinder(MetaPathFinder, Loader):
    """Finds a package and all below it in labdaq, also where the original is installed.

    Parameters
    ----------
    package
        ``mimocorb`` or ``mimocorb2``.
    """

    def __init__(self, package: str = "mimocorb") -> None:
        self.package = package

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """The spec of one of these modules; None for all others."""
        return ModuleSpec(fullname, self) if fullname.partition(".")[0] == self.package else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module itself, not a second one."""
        module = importlib.import_module(f"{_HOME}.{spec.name}")
        spec.loader_state = module.__spec__, module.__loader__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is left to do, but to give the module back what the import has written over."""
        spec = module.__spec__
        if spec is not None and spec.loader_state is not None:
            module.__spec__, module.__loader__ = spec.loader_state


def install_aliases(package: str = "mimocorb") -> None:
    """Let ``import mimocorb``, or that of another package, mean labdaq in this process from now on."""
    if not any(isinstance(finder, MimocorbFinder) and finder.package == package for finder in sys.meta_path):
        sys.meta_path.insert(0, MimocorbFinder(package))
