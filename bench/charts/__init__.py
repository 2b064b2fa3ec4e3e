"""Charts as Vega-Lite specifications, for the report and for `--plot`."""
