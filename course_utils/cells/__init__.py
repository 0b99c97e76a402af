"""Recurrent cells for `keras.layers.RNN`, written to be read."""

from course_utils.cells.base import RecurrentCell
from course_utils.cells.batch_norm import BatchNormLSTMCell, BatchNormRNN
from course_utils.cells.contract import CellReport, check_cell
from course_utils.cells.gru import GRUCell, MinGRUCell, ResetAfterGRUCell
from course_utils.cells.lstm import LayerNormLSTMCell, LSTMCell, PeepholeLSTMCell
from course_utils.cells.vanilla import VanillaRNNCell
from course_utils.cells.wrappers import WeightNormCell, ZoneoutCell

__all__ = [
    "BatchNormLSTMCell",
    "BatchNormRNN",
    "CellReport",
    "GRUCell",
    "LSTMCell",
    "LayerNormLSTMCell",
    "MinGRUCell",
    "PeepholeLSTMCell",
    "RecurrentCell",
    "ResetAfterGRUCell",
    "VanillaRNNCell",
    "WeightNormCell",
    "ZoneoutCell",
    "check_cell",
]
