"""``python -m xsweep.cli``."""

from xsweep.cli import main

main()
