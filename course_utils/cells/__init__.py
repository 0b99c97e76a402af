"""Recurrent cells for `keras.layers.RNN`, written to be read."""

from course_utils.cells.base import RecurrentCell
from course_utils.cells.vanilla import VanillaRNNCell

__all__ = ["RecurrentCell", "VanillaRNNCell"]
