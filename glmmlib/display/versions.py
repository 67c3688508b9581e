"""Versions of libraries on which a result depends, as numbers: as text, 10 would come before 3."""

import pandas as pd

PANDAS = int(pd.__version__.partition(".")[0])
