#!/usr/bin/env bash
# Fetch the agent programs that tests drive besides Claude Code, at the versions of package.json.
# Their install scripts are not run: the tests start the native programs of the packages themselves.
set -euo pipefail
cd "$(dirname "$0")"
npm install --no-audit --no-fund --no-package-lock --ignore-scripts --loglevel=error
