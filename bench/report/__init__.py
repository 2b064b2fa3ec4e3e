"""The report: results of every kind in one HTML file that needs no network."""
