"""``python -m labdaq.cli``."""

from labdaq.cli import main

main()
