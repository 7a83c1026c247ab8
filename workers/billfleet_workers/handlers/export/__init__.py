"""Exports: rows of one tenant as a file, read at one instant and delivered by a link."""

from billfleet_workers.handlers.export.handler import ExportHandler, ExportPolicy
from billfleet_workers.handlers.export.run import Workshop

__all__ = ["ExportHandler", "ExportPolicy", "Workshop"]
