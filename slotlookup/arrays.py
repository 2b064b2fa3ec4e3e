"""The types of arrays that modules hand to each other, one name per element type. Shapes are in docstrings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
"""Addresses, gfns, and tables of slot changes, as the native module takes them."""
Numbers = npt.NDArray[np.int32]
"""Slot numbers, HOLE where there is no slot."""
Vcpus = npt.NDArray[np.uint16]
"""The vCPU of each question or access."""
Ints = npt.NDArray[np.int64]
"""Pages, gfns, indices, counts and times in computations, where a difference may be negative."""
Bools = npt.NDArray[np.bool_]
"""One answer per element, and masks."""
Bytes = npt.NDArray[np.uint8]
"""Raw bytes, and codes of few values."""
