"""What ``make_benchmarks.py`` measures, a section a function; see that file."""
