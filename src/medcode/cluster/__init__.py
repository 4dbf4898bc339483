"""Trainings of studies, and predictions, on the machines of a Ray cluster.

What a worker gets are paths and settings, and what it returns are counts: no note passes through Ray, nor stands in its
logs, its dashboard or its object store. All machines see the project, the notes and the output under the same paths.
"""
