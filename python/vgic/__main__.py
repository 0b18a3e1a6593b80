"""``python -m vgic``: the command line."""

import sys

from vgic.cli import main

if __name__ == "__main__":
    sys.exit(main())
