"""Many pictures on many machines (`sfumato batch`).

A batch is a list of jobs (`jobs`) that workers paint (`painter`) and one process distributes (`running`), through any
`concurrent.futures.Executor` (`engines`). This package is not public: its names may change.
"""
