"""`python -m pipeline` is `realdrag`."""

import sys

from pipeline.cli import main

sys.exit(main())
