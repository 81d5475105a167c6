"""Entry points, one verb each; run them as `python -m experiments.<verb>`."""
