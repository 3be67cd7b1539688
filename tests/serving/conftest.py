"""What the tests of serving share."""

from __future__ import annotations

from tests.support.asking import row, tensors
from tests.support.served import other_species, price, species, store, up

__all__ = ["other_species", "price", "row", "species", "store", "tensors", "up"]
