"""The report people look at: one self-contained page of HTML with charts, tables and a browser of prompts."""

from __future__ import annotations

from bon.evaluation.report.making import LARGEST, report_of

__all__ = ["LARGEST", "report_of"]
