"""Tests and intervals of one fit."""
