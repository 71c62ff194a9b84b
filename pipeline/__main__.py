"""`python -m pipeline` is `realdrag`."""

import sys

from pipeline.commands.root import main

sys.exit(main())
