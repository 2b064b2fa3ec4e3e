"""The claims of the 2008 mail thread: one experiment for each, and a verdict computed from its figures.

`figures.py` has the figures of each claim, `rules.py` the verdicts that follow from them, `judging.py` what rules have
in common, `lab.py` the measurements that experiments share. `lookups.py`, `visits.py`, `timed.py`, `layouts.py`,
`host.py` and `streams.py` hold the experiments, `thread.py` lists the claims, and `report.py` prints them.
"""
