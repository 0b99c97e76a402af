"""Helpers of *Through Time*: cells, diagnostics, tasks, plots, claims and exercises.

Importing the package imports nothing heavy. It only asks TensorFlow, which is not loaded yet, to
start quietly and to compute the same on any number of cores.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
