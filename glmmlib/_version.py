"""The version: the one place that says it. The wheel, the reports and the book read it here."""

__version__ = "0.2.0"
