"""Where packets go to or come from on a network."""

from labdaq.packet import Address

__all__ = ["Address"]
