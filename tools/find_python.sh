#!/bin/sh
# Prints the first Python that the pinned packages have wheels for (3.11 to 3.14), or says what to do and fails with 2.
# PYTHON=... chooses one by hand; the one that .venv was made with is kept. From inside a virtual environment, even
# .venv itself, it is the Python that this was made from.
question='import sys; print(sys._base_executable); sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))'
for candidate in ${PYTHON:-.venv/bin/python python3 python3.14 python3.13 python3.12 python3.11}; do
    if python=$("$candidate" -c "$question" 2>/dev/null); then
        echo "$python"
        exit 0
    fi
done
found=$(${PYTHON:-python3} --version 2>&1) || found="no Python at all"
echo "ltray needs Python 3.11 to 3.14, but \`${PYTHON:-python3}\` is: $found" >&2
echo "Install one (python.org, pyenv, apt, dnf, brew, conda), or name it: make setup PYTHON=/path/to/python3.12" >&2
exit 2
