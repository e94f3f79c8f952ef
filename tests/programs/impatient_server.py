"""`octopoid` with other constants: the first argument is JSON, module and name to value."""

import importlib
import json
import sys

from octopoid_tui.__main__ import main

for name, value in json.loads(sys.argv.pop(1)).items():
    module, _, constant = name.rpartition(".")
    found = importlib.import_module(module)
    if not hasattr(found, constant):
        raise AttributeError(f"{module} has no {constant}")
    setattr(found, constant, value)
main()
