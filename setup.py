"""Which folders the wheel is made of, and what they are called there; pyproject.toml has the rest.

The site is the folders `project` and `templates` here. Where it is installed they are the package
`livestep`: a name that no other project takes, for the one copy that there is.
"""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["streaming*", "gallery*"]),
        "livestep",
        "livestep.templates",
    ],
    package_dir={"livestep": "project", "livestep.templates": "templates"},
)
