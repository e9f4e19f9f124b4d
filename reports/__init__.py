"""Which runs and pages make up a study; the same names as in benchmarks. HTML goes to reports/html."""
