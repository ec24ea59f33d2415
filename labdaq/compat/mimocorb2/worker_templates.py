"""The templates of mimoCoRB2 under one roof, as there."""

from labdaq.compat.mimocorb2.base import Base, SetupError, UfuncError
from labdaq.compat.mimocorb2.filtering import Filter, Processor
from labdaq.compat.mimocorb2.importing import Importer
from labdaq.compat.mimocorb2.reading import Exporter, IsAlive, Observer

__all__ = ["Base", "Exporter", "Filter", "Importer", "IsAlive", "Observer", "Processor", "SetupError", "UfuncError"]
