"""Recurrent cells for `keras.layers.RNN`, written to be read."""

from course_utils.cells.base import RecurrentCell
from course_utils.cells.contract import CellReport, check_cell
from course_utils.cells.vanilla import VanillaRNNCell

__all__ = ["CellReport", "RecurrentCell", "VanillaRNNCell", "check_cell"]
