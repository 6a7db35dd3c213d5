"""Studio: the web page and the service (`sfumato studio`).

It stores pictures and jobs, checks who may do what, and calls `inference.Pipeline` and `personal.service` in worker
processes; it has no image processing of its own. This package is not public, apart from `studio.client` and the HTTP
API: its names may change.
"""
