"""datakeep keeps machine-learning datasets from getting lost."""

__version__ = "0.1.0"
