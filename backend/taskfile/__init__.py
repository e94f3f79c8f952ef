"""Tasks as files: markdown with a YAML header, and the older form with `KEY: value` lines."""

from backend.taskfile.model import HistoryEntry, TaskFile
from backend.taskfile.read import read_task_file
from backend.taskfile.render import render_task_file

__all__ = ["HistoryEntry", "TaskFile", "read_task_file", "render_task_file"]
