"""Google Colab: its pages do not hear of what a thread of the kernel says, so there they ask."""

import sys
from collections.abc import Callable

from labdaq.errors import MissingExtraError

try:
    import anywidget
except ImportError as error:
    raise MissingExtraError("panels and live plots need anywidget: pip install 'labdaq[notebook]'") from error

__all__ = ["Pulse", "in_colab"]

_ESM = """
export default { render({model}) {
  const asking = setInterval(() => { if (!document.hidden) model.send({poll: "pulse"}); }, 500);
  return () => clearInterval(asking);
} };
"""


def in_colab() -> bool:
    """Whether this kernel is one of Google Colab.

    Examples
    --------
    >>> in_colab()
    False
    """
    return "google.colab" in sys.modules


class Pulse(anywidget.AnyWidget):
    """Something invisible in a page that asks twice a second for what is new.

    Parameters
    ----------
    look
        Called in the thread that answers the page.
    """

    _esm = _ESM

    def __init__(self, look: Callable[[], None]) -> None:
        super().__init__(layout={"display": "none"})
        self.on_msg(lambda _widget, _said, _buffers: look())
