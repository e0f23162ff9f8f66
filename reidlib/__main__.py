"""``python -m reidlib``: run notebooks, check data, look at stored runs."""

import sys

from reidlib.workbook.cli import main

sys.exit(main())
