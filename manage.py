#!/usr/bin/env python
"""Django's command line for this site: `serve`, `simulations`, `migrate`, `createsuperuser`…"""

import os
import sys

from project.command import execute

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    execute(sys.argv)
