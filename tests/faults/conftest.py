"""The small place of the room `train`: its data and models, with stores of the test's own."""

from tests.train.conftest import place, written

__all__ = ["place", "written"]
