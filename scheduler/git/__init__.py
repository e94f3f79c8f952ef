"""Git: a hub per repository, disposable workspaces, collection from outside, integration, rescue.

`run` is the only module that starts git. Nothing here ever runs git with the configuration of a
directory an agent could write to.
"""
